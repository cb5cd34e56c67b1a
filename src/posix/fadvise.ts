import { callAsync, libcFunction } from './libc.ts';

const ADVICE = { normal: 0, random: 1, sequential: 2, willNeed: 3, dontNeed: 4 } as const;
/** Start the writing of the range's dirty pages and wait for it. */
const WRITE_AND_WAIT = 7;

const posixFadvise = libcFunction(
  'int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)',
);
const syncFileRange = libcFunction(
  'int sync_file_range(int fd, int64_t offset, int64_t length, uint flags)',
);

/** Tells the kernel how a range will be used; length 0 is to the end. Only a hint: never fails. */
export function advise(
  fd: number,
  advice: keyof typeof ADVICE,
  offset: bigint,
  length: number,
): void {
  posixFadvise()?.(fd, offset, length, ADVICE[advice]);
}

/**
 * Writes out a range that was just written and drops it from the page cache.
 * @throws SystemError when writing it out fails.
 */
export async function writeOutAndDrop(fd: number, offset: bigint, length: number): Promise<void> {
  const call = syncFileRange();
  if (!call) return;
  await callAsync('sync_file_range', call, fd, offset, length, WRITE_AND_WAIT);
  advise(fd, 'dontNeed', offset, length);
}
