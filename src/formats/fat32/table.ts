import { zeroes } from '../../block/data.ts';
import type { BlockDevice, Data } from '../../block/device.ts';

const END_OF_CHAIN = 0x0fffffff;
const MEDIA = 0x0ffffff8;

/**
 * A file allocation table as a device, in which every file lies in one piece and all pieces follow
 * each other from cluster 2 on. It is worked out where it is read.
 * @param lasts the last clusters of the pieces, in order.
 * @param bytes the length of the table.
 */
export function fatTable(lasts: Uint32Array, bytes: number): BlockDevice {
  const used = ((lasts.at(-1) ?? 1) + 1) * 4;
  return {
    size: BigInt(bytes),
    multiConn: true,
    read: (offset, length): Data => {
      const start = Number(offset);
      const known = Math.min(length, Math.max(0, used - start));
      if (known === 0) return zeroes(length);
      const free = zeroes(length - known);
      const entries = tableEntries(lasts, start, start + known);
      if (known === length) return entries;
      return free instanceof Uint8Array ? [entries, free] : [entries, ...free];
    },
    extents: (offset, length) => {
      const known = Math.min(length, Math.max(0, used - Number(offset)));
      return [
        { length: known, hole: false, zero: false },
        { length: length - known, hole: true, zero: true },
      ].filter(run => run.length > 0);
    },
  };
}

/** The bytes of the table between two offsets. */
function tableEntries(lasts: Uint32Array, start: number, end: number): Uint8Array {
  const first = Math.floor(start / 4);
  const entries = new Uint32Array(Math.ceil(end / 4) - first);
  for (let index = 0; index < entries.length; index++) entries[index] = first + index + 1;
  for (let at = indexFrom(lasts, first); at < lasts.length; at++) {
    const index = lasts[at]! - first;
    if (index >= entries.length) break;
    entries[index] = END_OF_CHAIN;
  }
  if (first === 0) entries[0] = MEDIA;
  if (first <= 1 && entries.length > 1 - first) entries[1 - first] = END_OF_CHAIN;
  return new Uint8Array(entries.buffer).subarray(start - first * 4, end - first * 4);
}

/** The index of the first value that is at least `cluster`. */
function indexFrom(lasts: Uint32Array, cluster: number): number {
  let low = 0;
  let high = lasts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (lasts[middle]! < cluster) low = middle + 1;
    else high = middle;
  }
  return low;
}
