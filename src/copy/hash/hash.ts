import { type Connections, type CopyOptions, copy } from '../copy.ts';
import { nowhere } from '../nowhere.ts';
import type { Parallelism } from '../request-size.ts';
import { BlockHash } from './block-hash.ts';
import { DEFAULT_FORM, DIGESTS, type HashForm } from './form.ts';

export interface HashOptions
  extends Partial<HashForm>,
    Omit<Parallelism, 'granularity'>,
    Pick<CopyOptions, 'signal' | 'progress' | 'extents'> {
  /** Most threads that hash; unless said one for each processor. */
  readonly threads?: number | undefined;
}

const BLOCK_SIZES = [512, 32 << 20] as const;

/**
 * The hash of all blocks of a device, in hex.
 * @throws BlockError the request that failed; RangeError for an option that is out of bounds.
 */
export async function hashOf(from: Connections, options: HashOptions = {}): Promise<string> {
  const { digest, blockSize, threads, ...settings } = { ...DEFAULT_FORM, ...options };
  const form = checkedForm({ digest, blockSize });
  const hash = new BlockHash(form, threads);
  try {
    const observed = { ...settings, observer: hash, granularity: form.blockSize, sparse: 0 };
    await copy(from, nowhere, observed);
    return await hash.value();
  } finally {
    await hash.close();
  }
}

function checkedForm({ digest, blockSize }: HashForm): HashForm {
  if (!DIGESTS.includes(digest)) {
    throw new RangeError(`digest '${digest}': expected ${DIGESTS.join(', ')}`);
  }
  const [smallest, largest] = BLOCK_SIZES;
  const fits =
    blockSize >= smallest && blockSize <= largest && Number.isInteger(Math.log2(blockSize));
  if (!fits) {
    const right = `expected a power of two from ${smallest} to ${largest}`;
    throw new RangeError(`blockSize ${blockSize}: ${right}`);
  }
  return { digest, blockSize };
}
