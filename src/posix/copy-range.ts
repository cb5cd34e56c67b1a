import { callAsync, libcFunction, SystemError } from './libc.ts';

const copyFileRange = libcFunction(
  'int64_t copy_file_range(int from, int64_t *fromOffset, int to, int64_t *toOffset, ' +
    'size_t length, uint flags)',
);

const ELSEWHERE: ReadonlySet<string> = new Set([
  'EXDEV',
  'EINVAL',
  'EOPNOTSUPP',
  'ENOTSUP',
  'ENOSYS',
  'EPERM',
  'ETXTBSY',
]);

/**
 * Copies `length` bytes between two files inside the kernel. It fills holes: give it data only.
 * @returns the bytes copied, 0 at the end of the source; undefined where these two files must be
 * copied by reading and writing.
 * @throws SystemError such as ENOSPC.
 */
export async function copyRange(
  from: number,
  fromOffset: bigint,
  to: number,
  toOffset: bigint,
  length: number,
): Promise<number | undefined> {
  const call = copyFileRange();
  if (!call) return undefined;
  const offsets = BigInt64Array.of(fromOffset, toOffset);
  const source = new Uint8Array(offsets.buffer, 0, 8);
  const target = new Uint8Array(offsets.buffer, 8, 8);
  try {
    return await callAsync('copy_file_range', call, from, source, to, target, length, 0);
  } catch (error) {
    if (error instanceof SystemError && ELSEWHERE.has(error.code)) return undefined;
    throw error;
  }
}
