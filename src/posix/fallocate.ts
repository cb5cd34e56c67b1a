import { type CFunction, callAsync, lastError, libcFunction, SystemError } from './libc.ts';

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;
/** Longer ranges may take the file system long enough to be worth a thread. */
const AT_ONCE = 16 << 20;
const UNSUPPORTED: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'ENODEV']);

const fallocate = libcFunction('int fallocate(int fd, int mode, int64_t offset, int64_t length)');

/**
 * Gives the range back to the file system; it reads as zeroes. The size stays.
 * @returns false where the system or the file system cannot.
 * @throws SystemError
 */
export function punchHole(fd: number, offset: bigint, length: number): boolean | Promise<boolean> {
  return change(fd, PUNCH_HOLE | KEEP_SIZE, offset, length);
}

/**
 * Makes the range read as zeroes and keeps space for it, without writing it. The size stays.
 * @returns false where the system or the file system cannot.
 * @throws SystemError
 */
export function zeroRange(fd: number, offset: bigint, length: number): boolean | Promise<boolean> {
  return change(fd, ZERO_RANGE | KEEP_SIZE, offset, length);
}

function change(
  fd: number,
  mode: number,
  offset: bigint,
  length: number,
): boolean | Promise<boolean> {
  const call = fallocate();
  if (!call) return false;
  if (length > AT_ONCE) return changeAsync(call, fd, mode, offset, length);
  if (call(fd, mode, offset, length) === 0) return true;
  return unsupported(lastError('fallocate'));
}

async function changeAsync(
  call: CFunction,
  fd: number,
  mode: number,
  offset: bigint,
  length: number,
): Promise<boolean> {
  try {
    await callAsync('fallocate', call, fd, mode, offset, length);
    return true;
  } catch (error) {
    return unsupported(error);
  }
}

function unsupported(error: unknown): false {
  if (error instanceof SystemError && UNSUPPORTED.has(error.code)) return false;
  throw error;
}
