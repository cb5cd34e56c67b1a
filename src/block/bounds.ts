import type { BlockDevice } from './device.ts';
import { BlockError } from './errors.ts';

/** Requests by what is said of them: whether they have a payload, and what a full disk is called. */
export type RequestKind = 'read' | 'write' | 'zero' | 'trim' | 'cache' | 'extents';

/**
 * What is wrong with where a request is: outside, not in whole blocks, too long. The last block of a
 * device may be cut off by its end. Infinity is a length that is past the end of every device.
 * @returns BlockError EINVAL; ENOSPC for what would be written past the end.
 */
export function misplaced(
  { size, blockSize }: Pick<BlockDevice, 'size' | 'blockSize'>,
  kind: RequestKind,
  offset: bigint,
  length: number,
): BlockError | undefined {
  if (typeof offset !== 'bigint' || offset < 0n) {
    return new BlockError('EINVAL', `offset ${offset}: expected a bigint of 0 or more`);
  }
  const tooLong = length === Number.POSITIVE_INFINITY;
  if (!tooLong && (!Number.isSafeInteger(length) || length < 1)) {
    return new BlockError('EINVAL', `length ${length}: expected a whole number from 1 to 2^53-1`);
  }
  const end = tooLong ? size : offset + BigInt(length);
  if (tooLong || end > size) {
    const errno = kind === 'write' || kind === 'zero' ? 'ENOSPC' : 'EINVAL';
    const words = `${length} bytes at ${offset} reach past the end at ${size}`;
    return new BlockError(errno, words, { offset });
  }
  if (!blockSize || blockSize.advisory) return undefined;
  const { minimum, maximum } = blockSize;
  const block = BigInt(minimum);
  if (offset % block !== 0n || (end % block !== 0n && end !== size)) {
    const words = `${length} bytes at ${offset} are no multiples of the minimum block size`;
    return new BlockError('EINVAL', `${words} ${minimum}`, { offset });
  }
  if ((kind === 'read' || kind === 'write') && length > maximum) {
    const words = `${length} bytes are over the maximum of one request, ${maximum}`;
    return new BlockError('EINVAL', words, { offset });
  }
  return undefined;
}
