import { andThen } from './answer.ts';
import type { BlockDevice } from './device.ts';
import { readInto } from './read-into.ts';
import { Scratch } from './scratch.ts';
import { supportOf } from './support.ts';
import { PASS, wrapDevice } from './wrap.ts';

/** What becomes of bytes on their way; each changes them where they are. */
export interface Transform {
  /** Bytes that were read at an offset. */
  read(offset: bigint, bytes: Uint8Array): void;
  /** Bytes that will be written; without it they are written as they come. */
  write?(offset: bigint, bytes: Uint8Array): void;
  /** Zeroes below are no zeroes above, and the other way round; then there is no trim. */
  readonly changesZeroes?: boolean;
}

const LONGEST_LENT = 1 << 20;
const scratch = new Scratch(LONGEST_LENT, 16);

/** Acts with a copy of bytes, in memory that is used again where they are not many. */
function copied<T>(data: Uint8Array, act: (copy: Buffer) => T | PromiseLike<T>) {
  if (data.length > LONGEST_LENT) return act(Buffer.from(data));
  return scratch.with(data.length, copy => {
    copy.set(data);
    return act(copy);
  });
}

/** A device whose bytes are those of another, each changed in its place. */
export function transformDevice(below: BlockDevice, transform: Transform): BlockDevice {
  return wrapDevice(below, {
    ...PASS,
    read(offset, length, options) {
      const bytes = options?.memory?.(length) ?? Buffer.allocUnsafe(length);
      return andThen(readInto(below, offset, bytes, options), () => {
        transform.read(offset, bytes);
        return bytes;
      });
    },
    ...(transform.write && {
      write:
        below.write &&
        ((offset, data, options) =>
          copied(data, bytes => {
            transform.write!(offset, bytes);
            return below.write!(offset, bytes, options);
          })),
    }),
    ...(transform.changesZeroes && withoutZeroes(below)),
  });
}

/**
 * Zeroes are written, and what reads as zeroes below does not do so above: trimmed bytes would be
 * neither the old ones nor zeroes.
 */
function withoutZeroes(below: BlockDevice) {
  const { zero, fastZero } = supportOf(below);
  return {
    trim: undefined,
    zero: undefined,
    zeroing: zero === 'none' ? ('none' as const) : undefined,
    fastZero: fastZero === 'none' ? ('none' as const) : undefined,
    extents:
      below.extents &&
      ((...asked: Parameters<NonNullable<BlockDevice['extents']>>) =>
        andThen(below.extents!(...asked), runs => runs.map(run => ({ ...run, zero: false })))),
  };
}
