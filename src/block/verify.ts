import { isZero, viewsOf } from './data.ts';
import type { BlockDevice, Data, RequestOptions, ZeroOptions } from './device.ts';
import { extentsOf } from './emulate.ts';
import { BlockError } from './errors.ts';
import { inPieces } from './pieces.ts';

/** Bytes that are read and compared at once. */
const PIECE = 1 << 20;

/**
 * For devices whose content is fixed: a write is fine when it changes nothing.
 * @throws BlockError EIO with the offset of the first byte that differs.
 */
export function verifyWrite(offset: bigint, data: Uint8Array, expected: Data): void {
  const at = mismatch(data, expected);
  if (at === undefined) return;
  const differs = offset + BigInt(at);
  throw new BlockError('EIO', `data written differs from the disk at offset ${differs}`, {
    offset: differs,
  });
}

/** At which byte data differ first from others of the same length; undefined where they do not. */
export function mismatch(data: Uint8Array, expected: Data): number | undefined {
  let at = 0;
  for (const view of viewsOf(expected)) {
    const part = data.subarray(at, at + view.length);
    if (Buffer.compare(part, view) !== 0) return at + firstDifference(part, view);
    at += view.length;
  }
  return undefined;
}

/** Whether a range of a device has these bytes. */
export async function holds(
  device: BlockDevice,
  offset: bigint,
  data: Uint8Array,
  options?: RequestOptions,
): Promise<boolean> {
  return await everyView(device, offset, data.length, options, (view, at) =>
    Buffer.from(view.buffer, view.byteOffset, view.length).equals(
      data.subarray(at, at + view.length),
    ),
  );
}

/**
 * Whether a range of a device reads as zeroes, which it may know without being read.
 * @param options with `fastZero`, it is not read.
 * @throws BlockError ENOTSUP when it would have to be read all the same.
 */
export async function readsAsZeroes(
  device: BlockDevice,
  offset: bigint,
  length: number,
  { fastZero, signal }: ZeroOptions = {},
): Promise<boolean> {
  for (let done = 0; done < length; ) {
    const at = offset + BigInt(done);
    for (const run of await extentsOf(device, at, length - done, { signal })) {
      const part = Math.min(run.length, length - done);
      if (!run.zero) {
        if (fastZero) throw new BlockError('ENOTSUP', 'what is there would have to be read');
        const place = offset + BigInt(done);
        if (!(await everyView(device, place, part, { signal }, isZero))) return false;
      }
      done += part;
    }
  }
  return true;
}

/** Reads a range in pieces until something is found to be otherwise. */
async function everyView(
  device: BlockDevice,
  offset: bigint,
  length: number,
  { signal }: RequestOptions = {},
  is: (view: Uint8Array, at: number) => boolean,
): Promise<boolean> {
  let so = true;
  const look = async (place: bigint, piece: number) => {
    if (!so) return;
    let at = Number(place - offset);
    for (const view of viewsOf(await device.read(place, piece, { signal }))) {
      so &&= is(view, at);
      at += view.length;
    }
  };
  await inPieces(offset, length, look, { signal, most: PIECE });
  return so;
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
