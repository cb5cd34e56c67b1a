import type { BlockDevice, BlockSize } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';

/** What was given, in bytes. */
export interface Sizes {
  readonly 'blocksize-minimum': bigint | undefined;
  readonly 'blocksize-preferred': bigint | undefined;
  readonly 'blocksize-maximum': bigint | undefined;
  readonly 'blocksize-write-disconnect': bigint | undefined;
}

const UNLIMITED = 2 ** 32 - 1;

/** @throws UsageError for sizes that no disk can have, alone or together. */
export function checkSizes(sizes: Sizes): void {
  const {
    'blocksize-minimum': minimum,
    'blocksize-preferred': preferred,
    'blocksize-maximum': maximum,
    'blocksize-write-disconnect': limit,
  } = sizes;
  const isPower = (size: bigint) => size > 0n && (size & (size - 1n)) === 0n;
  const demand = (holds: boolean, words: string) => {
    if (!holds) throw new UsageError(words);
  };
  if (minimum) {
    demand(isPower(minimum), 'blocksize-minimum must be a power of 2');
    demand(minimum <= 65536n, 'blocksize-minimum must be <= 64K');
  }
  if (preferred) {
    demand(isPower(preferred), 'blocksize-preferred must be a power of 2');
    const inRange = preferred >= 512n && preferred <= 32n << 20n;
    demand(inRange, 'blocksize-preferred must be between 512 and 32M');
  }
  if (minimum && maximum && maximum !== BigInt(UNLIMITED)) {
    const words = 'blocksize-maximum must be -1 or a multiple of blocksize-minimum';
    demand(maximum % minimum === 0n, words);
  }
  if (minimum && preferred) {
    demand(minimum <= preferred, 'blocksize-minimum must be <= blocksize-preferred');
  }
  if (preferred && maximum) {
    demand(preferred <= maximum, 'blocksize-preferred must be <= blocksize-maximum');
  }
  if (minimum && limit) {
    demand(limit > minimum, 'blocksize-write-disconnect must be larger than blocksize-minimum');
  }
}

/**
 * What was given, the rest as the device below has it, or as suits any.
 * @throws BlockError when these do not go together.
 */
export function announced({ blockSize: own }: BlockDevice, sizes: Sizes): BlockSize | undefined {
  const minimum = Number(sizes['blocksize-minimum'] ?? 0n);
  const preferred = Number(sizes['blocksize-preferred'] ?? 0n);
  const maximum = Number(sizes['blocksize-maximum'] ?? 0n);
  if (!minimum && !preferred && !maximum) return own;
  const limit = Number(sizes['blocksize-write-disconnect'] ?? 0n);
  const least = minimum || (own?.minimum ?? 1);
  const most = own?.maximum ?? (limit ? limit - (limit % least) : UNLIMITED);
  const best = preferred || (own?.preferred ?? 4096);
  const all = { minimum: least, preferred: best, maximum: maximum || most };
  if (all.minimum <= all.preferred && all.preferred <= all.maximum) return all;
  const words = `minimum ${all.minimum} > preferred ${all.preferred}`;
  throw new BlockError(
    'EIO',
    `computed block size values are invalid, ${words} or preferred > maximum ${all.maximum}`,
  );
}
