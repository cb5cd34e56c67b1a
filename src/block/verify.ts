import { isZero, viewsOf } from './data.ts';
import type { BlockDevice, Data, RequestOptions } from './device.ts';
import { BlockError } from './errors.ts';
import { inPieces } from './pieces.ts';

/** Bytes that are read and compared at once. */
const PIECE = 1 << 20;

/**
 * For devices whose content is fixed: a write is fine when it changes nothing.
 * @throws BlockError EIO with the offset of the first byte that differs.
 */
export function verifyWrite(offset: bigint, data: Uint8Array, expected: Data): void {
  let at = 0;
  for (const view of viewsOf(expected)) {
    const written = data.subarray(at, at + view.length);
    if (Buffer.compare(written, view) !== 0) {
      const differs = offset + BigInt(at + firstDifference(written, view));
      throw new BlockError('EIO', `data written differs from the disk at offset ${differs}`, {
        offset: differs,
      });
    }
    at += view.length;
  }
}

/**
 * Whether a range of a device has these bytes, or without any, reads as zeroes.
 * @param data as many bytes as the range.
 */
export async function holds(
  device: BlockDevice,
  offset: bigint,
  length: number,
  data: Uint8Array | undefined,
  { signal }: RequestOptions = {},
): Promise<boolean> {
  let same = true;
  const compare = async (at: bigint, piece: number) => {
    if (!same) return;
    let from = Number(at - offset);
    for (const view of viewsOf(await device.read(at, piece, { signal }))) {
      const to = from + view.length;
      same &&= data ? Buffer.compare(view, data.subarray(from, to)) === 0 : isZero(view);
      from = to;
    }
  };
  await inPieces(offset, length, compare, { signal, most: PIECE });
  return same;
}

/** Where two runs of bytes of one length, which are known to differ, do so first. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let start = 0;
  let end = a.length;
  while (end - start > 1) {
    const middle = (start + end) >>> 1;
    if (Buffer.compare(a.subarray(start, middle), b.subarray(start, middle)) === 0) start = middle;
    else end = middle;
  }
  return start;
}
