import { lastError, libcFunction, SystemError } from './libc.ts';

const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const TAKEN: ReadonlySet<string> = new Set(['EAGAIN', 'EACCES']);
/** Of a struct flock: two shorts, then offset and length, all zero: the whole file. */
const FLOCK_SIZE = 32;

const fcntl = libcFunction('int fcntl(int fd, int command, void *argument)');

/**
 * Locks a whole file against other opens of it, in this process and in others, until `fd` is
 * closed: for reading along with others, or, where it is open for writing, exclusively. Where the
 * system has no such locks (they are Linux's) nothing is locked.
 * @returns false when someone else's lock is in the way.
 * @throws SystemError
 */
export function lockFile(fd: number, exclusive: boolean): boolean {
  const call = fcntl();
  if (!call) return true;
  const lock = new Int16Array(FLOCK_SIZE / 2);
  lock[0] = exclusive ? F_WRLCK : F_RDLCK;
  if (call(fd, F_OFD_SETLK, new Uint8Array(lock.buffer)) === 0) return true;
  const error = lastError('fcntl');
  if (error instanceof SystemError && TAKEN.has(error.code)) return false;
  throw error;
}
