import type { BlockDevice } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { parseBoolean } from '../declare/parameters.ts';
import { flatStore } from './flat.ts';
import { packedStore } from './packed.ts';
import { sparseStore } from './sparse.ts';

/** The parameter `allocator` of plugins that keep a disk in memory. */
export const ALLOCATOR = {
  type: 'string',
  default: 'sparse',
  help: 'How memory is used: sparse, malloc, malloc,mlock=true or zstd',
} as const;

/**
 * A disk of zeroes in memory, shared by whoever holds it.
 * @param allocator `sparse` (space only where written), `malloc[,mlock=BOOL]` (all of it at once) or
 * `zstd` (sparse and compressed).
 * @throws UsageError
 */
export function memoryStore(size: bigint, allocator: string): BlockDevice {
  const [kind, ...options] = allocator.split(',');
  if (kind === 'malloc') return flatStore(size, parseLock(options));
  if (options.length > 0) {
    throw new UsageError(`allocator: '${options[0]}': ${kind} has no options`);
  }
  if (kind === 'sparse') return sparseStore(size);
  if (kind === 'zstd') return packedStore(size);
  throw new UsageError(`allocator: unknown '${kind}': expected sparse, malloc or zstd`);
}

function parseLock(options: readonly string[]): boolean {
  let lock = false;
  for (const option of options) {
    const [key, value, more] = option.split('=');
    if (key !== 'mlock' || value === undefined || more !== undefined) {
      throw new UsageError(`allocator: unknown option '${option}': expected mlock=true`);
    }
    try {
      lock = parseBoolean(value);
    } catch (error) {
      throw new UsageError(`allocator: mlock: ${(error as Error).message}`);
    }
  }
  return lock;
}
