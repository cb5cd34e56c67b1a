import type { BlockDevice } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { parseBoolean } from '../declare/parameters.ts';
import { loadZstd } from '../posix/zstd.ts';
import { flatStore } from './flat.ts';
import { MappedPages, type MappedPlace } from './mapped.ts';
import { packedStore } from './packed.ts';
import type { Pages } from './pages.ts';
import { Slabs } from './slabs.ts';
import { sparseStore } from './sparse.ts';

/** Sizes of disks that threads share: smaller ones are not worth it, larger ones find no room. */
const SHARED = { least: 64n << 20n, most: 1n << 40n };

/** The parameter `allocator` of plugins that keep a disk in memory. */
export const ALLOCATOR = {
  type: 'string',
  default: 'sparse',
  help: 'How memory is used: sparse, malloc, malloc,mlock=true or zstd',
} as const;

/** What --dump-plugin tells of the allocators that there are here. */
export function allocatorFacts() {
  const yes = (is: boolean) => (is ? 'yes' : 'no');
  return { mlock: yes(process.platform === 'linux'), zstd: yes(loadZstd() !== undefined) };
}

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
  if (kind === 'sparse') return sparseStore(size, () => pagesFor(size));
  if (kind === 'zstd') return packedStore(size);
  throw new UsageError(`allocator: unknown '${kind}': expected sparse, malloc or zstd`);
}

function pagesFor(size: bigint): Pages {
  const shared = size >= SHARED.least && size <= SHARED.most;
  return (shared && MappedPages.create(Number(size))) || new Slabs();
}

/** Makes a disk of `memoryStore` again, in another thread than its own. */
export function remakeMemory(from: { size: bigint; pages: MappedPlace }): BlockDevice {
  return sparseStore(from.size, undefined, MappedPages.at(from.pages));
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
