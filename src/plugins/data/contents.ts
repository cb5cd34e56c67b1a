import type { Data, Extent } from '../../block/device.ts';
import { cutRuns, ExtentList } from '../../block/extents.ts';
import { GRAIN, type Image, KINDS, type Kind, readImage, smaller } from './image.ts';

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
  const add = (kind: Kind, blocks: number) =>
    list.add(blocks * GRAIN_BYTES, kind === 'hole', kind !== 'data');
  let at = 0;
  let visits = 0;
  /** Of the block that is not full yet. */
  let kind: Kind | undefined;
  image.walk(start, end, (run, kindOfRun) => {
    const to = at + Number(run);
    const full = Math.floor(to / GRAIN_BYTES) - Math.floor(at / GRAIN_BYTES);
    kind = stronger(kind, kindOfRun);
    if (full > 0) {
      add(kind, 1);
      add(kindOfRun, full - 1);
      kind = to % GRAIN_BYTES === 0 ? undefined : kindOfRun;
    }
    at = to;
    visits += 1;
    return visits < MAX_VISITS || at < before + GRAIN_BYTES;
  });
  if (kind !== undefined && start + BigInt(at) === end) add(kind, 1);
  return cutRuns(list.extents, before, length);
}

function stronger(a: Kind | undefined, b: Kind): Kind {
  return a === undefined || KINDS.indexOf(b) > KINDS.indexOf(a) ? b : a;
}
