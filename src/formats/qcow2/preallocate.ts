import type { BlockDevice } from '../../block/device.ts';
import { zeroRange } from '../../block/emulate.ts';
import { ImageFile } from '../../images/image-file.ts';
import { Clusters } from './clusters.ts';
import type { Header } from './header.ts';
import { L1 } from './l1.ts';
import type { Options } from './options.ts';
import { Refcounts } from './refcounts.ts';

/** Clusters that get their place at once, in bytes. */
const PIECE = 1 << 30;

/** Gives each cluster of a new image its place. @param dataFile where data is, if apart. */
export async function preallocate(
  below: BlockDevice,
  header: Header,
  mode: Options['preallocation'],
  dataFile: ImageFile | undefined,
): Promise<void> {
  const file = new ImageFile(below);
  const l1 = await L1.read(file, header.l1Offset, header.l1Entries);
  const refcounts = await Refcounts.open(file, header);
  const clusters = new Clusters({ file, header, l1, refcounts, backed: false, dataFile });
  const data = dataFile ?? file;
  const size = BigInt(clusters.cluster);
  const end = ((header.size + size - 1n) / size) * size;
  for (let at = 0n; at < end; ) {
    const place = await clusters.place(at, end - at < PIECE ? Number(end - at) : PIECE);
    const must = mode === 'falloc' || mode === 'full';
    if (must || !(place.fresh || dataFile)) {
      await data.grow(place.at + place.length);
      await zeroRange(data.device, BigInt(place.at), place.length, { mayTrim: !must });
    }
    await clusters.commit(at, place);
    at += BigInt(place.length);
  }
  await clusters.close();
  await file.trimEnd();
}
