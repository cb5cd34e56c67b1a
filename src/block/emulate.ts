/** What a device leaves out, made from what it has: once, for every caller. */
import { zeroes } from './data.ts';
import type { BlockDevice, Extent, WriteOptions, ZeroOptions } from './device.ts';
import { BlockError, errnoOf } from './errors.ts';
import { ExtentList } from './extents.ts';
import { supportOf } from './support.ts';

const PIECE = 1 << 20;

/** Makes what was done durable, when `fua` asks for it and the device did not do so itself. */
export function settle(device: BlockDevice, options?: WriteOptions): void | PromiseLike<void> {
  if (options?.fua && device.fua !== 'native') return device.flush?.();
}

/**
 * Zeroes a range, by the device's own means where it has them, else by writing zeroes.
 * @throws BlockError ENOTSUP when `fastZero` asks not to write them; EPERM on a read-only device.
 */
export async function zeroRange(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options: ZeroOptions = {},
): Promise<void> {
  if (options.fastZero && supportOf(device).fastZero !== 'native') throw notFast();
  try {
    if (device.zero) {
      await device.zero(offset, length, options);
      return await settle(device, options);
    }
  } catch (error) {
    if (options.fastZero || errnoOf(error) !== 'ENOTSUP') throw error;
  }
  if (options.fastZero) throw notFast();
  await writeZeroes(device, offset, length, options);
  await settle(device, options);
}

function notFast(): BlockError {
  return new BlockError('ENOTSUP', 'zeroing would be as slow as writing here');
}

async function writeZeroes(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options: WriteOptions,
): Promise<void> {
  if (!device.write) throw new BlockError('EPERM', 'the device is read-only');
  const { minimum, maximum } = device.blockSize ?? { minimum: 1, maximum: PIECE };
  const longest = Math.min(PIECE, maximum);
  const piece = Math.max(minimum, longest - (longest % minimum));
  const source = zeroes(piece) as Uint8Array;
  for (let done = 0; done < length; done += piece) {
    const bytes = source.subarray(0, Math.min(piece, length - done));
    await device.write(offset + BigInt(done), bytes, {
      fua: options.fua && device.fua === 'native',
      signal: options.signal,
    });
  }
}

/** The runs from `offset` on; all data where the device does not say. */
export function extentsOf(
  device: BlockDevice,
  offset: bigint,
  length: number,
): Extent[] | PromiseLike<Extent[]> {
  return device.extents ? device.extents(offset, length) : [{ length, hole: false, zero: false }];
}

/** All the runs of a range, asking as often as it takes, cut to the range. */
export async function allExtents(
  device: BlockDevice,
  offset: bigint,
  length: number,
): Promise<Extent[]> {
  const list = new ExtentList();
  while (list.length < length) {
    const at = offset + BigInt(list.length);
    const before = list.length;
    for (const extent of await extentsOf(device, at, length - list.length)) {
      list.add(Math.min(extent.length, length - list.length), extent.hole, extent.zero);
    }
    if (list.length === before) throw new BlockError('EIO', 'the device gave no extents');
  }
  return list.extents;
}
