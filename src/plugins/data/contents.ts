import type { Data, Extent } from '../../block/device.ts';
import { cutRuns, ExtentList } from '../../block/extents.ts';
import { GRAIN, type Image, readImage, smaller } from './image.ts';

/** Contents that are there at once and do not change. */
export interface Contents {
  readonly size: bigint;
  read(offset: bigint, length: number): Data;
  extents(offset: bigint, length: number): Extent[];
}

const MAX_VISITS = 20_000;
const GRAIN_BYTES = Number(GRAIN);

/** An image as contents; its runs of data are rounded to blocks of 32 KiB. */
export function contentsOf(image: Image): Contents {
  return {
    size: image.size,
    read: (offset, length) => readImage(image, offset, length),
    extents: (offset, length) => blockExtents(image, offset, length),
  };
}

function blockExtents(image: Image, offset: bigint, length: number): Extent[] {
  const before = Number(offset % GRAIN);
  const start = offset - BigInt(before);
  const wanted = Math.ceil((before + length) / GRAIN_BYTES) * GRAIN_BYTES;
  const end = smaller(start + BigInt(wanted), image.size);
  const list = new ExtentList();
  let at = 0;
  let visits = 0;
  image.walk(start, end, (run, hole) => {
    const to = at + Number(run);
    if (!hole) {
      const first = Math.floor(at / GRAIN_BYTES) * GRAIN_BYTES;
      list.addHole(Math.max(0, first - list.length));
      list.addData(Math.max(0, Math.ceil(to / GRAIN_BYTES) * GRAIN_BYTES - list.length));
    }
    at = to;
    visits += 1;
    return visits < MAX_VISITS || at < before + GRAIN_BYTES;
  });
  const covered = Math.min(Math.floor(at / GRAIN_BYTES) * GRAIN_BYTES, wanted);
  const reached = start + BigInt(at) === end ? wanted : covered;
  list.addHole(Math.max(0, reached - list.length));
  return cutRuns(list.extents, before, length);
}
