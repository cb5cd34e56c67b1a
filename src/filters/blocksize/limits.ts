import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { inPieces } from '../../block/pieces.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

/** What requests to a disk keep to, in bytes. */
export interface Limits {
  /** Offsets and lengths are multiples of this power of two. */
  readonly minblock: number;
  /** Most of a read, write or cache request. */
  readonly maxdata: number;
  /** Most of other requests. */
  readonly maxlen: number;
}

/** The same, as it was given: 0 for what was not. */
export type Given = Limits;

export const MOST = 2 ** 32 - 1;
const LARGEST_BLOCK = 65536;
const MOST_DATA = 64 << 20;

/** @throws UsageError for limits that do not go together. */
export function readGiven(
  parameters: {
    readonly [K in keyof Given]: bigint | undefined;
  },
): Given {
  const minblock = Number(parameters.minblock ?? 0n);
  const given = {
    minblock,
    maxdata: Number(parameters.maxdata ?? 0n),
    maxlen: Number(parameters.maxlen ?? 0n),
  };
  if ((minblock & (minblock - 1)) !== 0) throw new UsageError('minblock must be a power of 2');
  if (minblock > LARGEST_BLOCK) {
    throw new UsageError(`minblock must not exceed ${LARGEST_BLOCK}`);
  }
  for (const key of ['maxdata', 'maxlen'] as const) {
    if (given[key] % (minblock || 1) !== 0) {
      throw new UsageError(`${key} must be a multiple of ${minblock}`);
    }
  }
  return given;
}

/**
 * What was given, as far as the disk allows it.
 * @throws BlockError EIO when nothing is left.
 */
export function limitsOver({ blockSize }: BlockDevice, given: Given): Limits {
  const minblock = Math.max(given.minblock, blockSize?.minimum ?? 1);
  const down = (length: number) => length - (length % minblock);
  const wanted = given.maxdata || Math.min(given.maxlen || MOST_DATA, MOST_DATA);
  const maxdata = down(Math.min(wanted, blockSize?.maximum ?? wanted));
  const maxlen = down(given.maxlen || MOST);
  if (maxdata > 0 && maxlen > 0) return { minblock, maxdata, maxlen };
  throw new BlockError('EIO', `the disk has blocks of ${minblock} bytes, which do not fit`);
}

/** Requests without a payload, cut to what the disk likes. */
export function withMost(disk: BlockDevice, { maxdata, maxlen }: Limits): BlockDevice {
  const { trim, zero, cache, extents } = disk;
  const cut = (
    most: number,
    offset: bigint,
    length: number,
    options: RequestOptions | undefined,
    act: (offset: bigint, length: number) => void | PromiseLike<void>,
  ) => inPieces(offset, length, act, { most, signal: options?.signal });
  return wrapDevice(disk, {
    ...PASS,
    trim:
      trim &&
      ((offset, length, options) =>
        cut(maxlen, offset, length, options, (at, piece) => disk.trim!(at, piece, options))),
    zero:
      zero &&
      ((offset, length, options) => {
        if (options?.fastZero && length > maxlen) {
          throw new BlockError('ENOTSUP', `zeroing more than ${maxlen} bytes at once is not fast`);
        }
        return cut(maxlen, offset, length, options, (at, piece) => disk.zero!(at, piece, options));
      }),
    cache:
      cache &&
      ((offset, length, options) =>
        cut(maxdata, offset, length, options, (at, piece) => disk.cache!(at, piece, options))),
    extents:
      extents &&
      ((offset, length, options) => disk.extents!(offset, Math.min(length, maxlen), options)),
  });
}
