/** What a device leaves out, made from what it has: once, for every caller. */
import { zeroes } from './data.ts';
import type {
  BlockDevice,
  Extent,
  ExtentsOptions,
  RequestOptions,
  WriteOptions,
  ZeroOptions,
} from './device.ts';
import { BlockError, errnoOf } from './errors.ts';
import { ExtentList } from './extents.ts';
import { inPieces } from './pieces.ts';
import { supportOf } from './support.ts';

/** Bytes that are read or written at once where that stands for something else. */
const PIECE = 1 << 20;

/** Makes what was done durable, when `fua` asks for it and the device did not do so itself. */
export function settle(device: BlockDevice, options: WriteOptions = {}): void | PromiseLike<void> {
  if (options.fua && device.fua !== 'native') return device.flush?.({ signal: options.signal });
}

/**
 * Zeroes a range of any length, by the device's own means where it has them, else by writing zeroes.
 * @throws BlockError ENOTSUP when `fastZero` asks not to write them or the device does not want it;
 * EPERM on a read-only device.
 */
export async function zeroRange(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options: ZeroOptions = {},
): Promise<void> {
  const supports = supportOf(device);
  const fua = Boolean(options.fua) && device.fua === 'native';
  if (!device.write) throw new BlockError('EPERM', 'the device is read-only');
  if (options.fastZero && supports.fastZero !== 'native') throw notFast();
  if (supports.zero === 'none') throw new BlockError('ENOTSUP', 'zeroing is not offered here');
  try {
    if (device.zero) {
      const own = { ...options, fua };
      await inPieces(offset, length, (at, piece) => device.zero!(at, piece, own), options);
      return await settle(device, options);
    }
  } catch (error) {
    if (options.fastZero || errnoOf(error) !== 'ENOTSUP') throw error;
  }
  await writeZeroes(device, offset, length, { fua, signal: options.signal });
  await settle(device, options);
}

function notFast(): BlockError {
  return new BlockError('ENOTSUP', 'zeroing would be as slow as writing here');
}

function writeZeroes(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options: WriteOptions,
): void | PromiseLike<void> {
  const most = pieceOf(device);
  const source = zeroes(most) as Uint8Array;
  const write = (at: bigint, piece: number) =>
    device.write!(at, source.subarray(0, piece), options);
  return inPieces(offset, length, write, { signal: options.signal, most });
}

/** Tells a device that a range of any length is not needed. It has `trim`. */
export async function trimRange(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options: WriteOptions = {},
): Promise<void> {
  const own = { signal: options.signal, fua: Boolean(options.fua) && device.fua === 'native' };
  await inPieces(offset, length, (at, piece) => device.trim!(at, piece, own), options);
  await settle(device, options);
}

/**
 * Tells a device that a range of any length will be read, or reads it for it.
 * @throws BlockError ENOTSUP when the device does not want either.
 */
export function cacheRange(
  device: BlockDevice,
  offset: bigint,
  length: number,
  { signal }: RequestOptions = {},
): void | PromiseLike<void> {
  const cache = supportOf(device).cache;
  if (cache === 'none') throw new BlockError('ENOTSUP', 'caching is not offered here');
  if (cache === 'native') {
    return inPieces(offset, length, (at, piece) => device.cache!(at, piece, { signal }), {
      signal,
    });
  }
  const most = pieceOf(device);
  let scratch: Buffer | undefined;
  const memory = (wanted: number) => {
    scratch ??= Buffer.allocUnsafeSlow(most);
    return scratch.subarray(0, wanted);
  };
  const read = async (at: bigint, piece: number) => {
    await device.read(at, piece, { memory, signal });
  };
  return inPieces(offset, length, read, { signal, most });
}

/** Whole blocks that one request may have. */
function pieceOf({ blockSize }: BlockDevice): number {
  if (!blockSize) return PIECE;
  const most = Math.min(PIECE, blockSize.maximum);
  return Math.max(blockSize.minimum, most - (most % blockSize.minimum));
}

/** The runs from `offset` on; all data where the device does not say. */
export function extentsOf(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options?: ExtentsOptions,
): Extent[] | PromiseLike<Extent[]> {
  if (!device.extents) return [{ length, hole: false, zero: false }];
  return device.extents(offset, length, options);
}

/** All the runs of a range, asking as often as it takes, cut to the range. */
export async function allExtents(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options?: RequestOptions,
): Promise<Extent[]> {
  const list = new ExtentList();
  while (list.length < length) {
    const before = list.length;
    const at = offset + BigInt(before);
    list.addRuns(await extentsOf(device, at, length - before, options), length - before);
    if (list.length === before) throw new BlockError('EIO', 'the device gave no extents');
  }
  return list.extents;
}
