import { andThen } from './answer.ts';
import type { BlockDevice } from './device.ts';
import { readInto } from './read-into.ts';
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
        ((offset, data, options) => {
          const bytes = Buffer.from(data);
          transform.write!(offset, bytes);
          return below.write!(offset, bytes, options);
        }),
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
