import process from 'node:process';
import { lastError, libcFunction } from './libc.ts';

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const TAKEN: ReadonlySet<string> = new Set(['EAGAIN', 'EACCES']);
/** Of a struct flock: two shorts, then offset and length; all zero is the whole file. */
const FLOCK_SIZE = 32;
const START = 8;
const LENGTH = 16;

const fcntl = libcFunction('int fcntl(int fd, int command, void *argument)');

/**
 * Locks a whole file against other opens of it, in this process and in others, until `fd` is
 * closed: for reading along with others, or, where it is open for writing, exclusively. Where the
 * system has no such locks (they are Linux's) nothing is locked.
 * @returns false when someone else's lock is in the way.
 * @throws SystemError
 */
export function lockFile(fd: number, exclusive: boolean): boolean {
  if (!fcntl()) return true;
  const lock = new Int16Array(FLOCK_SIZE / 2);
  lock[0] = exclusive ? F_WRLCK : F_RDLCK;
  return set(fd, new Uint8Array(lock.buffer));
}

/**
 * Locks one byte of a file along with others, or gives it back.
 * @returns false when someone has locked it for himself. @throws SystemError
 */
export function lockByte(fd: number, at: number, locked: boolean): boolean {
  return set(fd, oneByte(at, locked ? F_RDLCK : F_UNLCK));
}

function set(fd: number, lock: Uint8Array): boolean {
  if (fcntl()!(fd, F_OFD_SETLK, lock) === 0) return true;
  const error = lastError('fcntl');
  if (TAKEN.has(error.code)) return false;
  throw error;
}

/** Whether somebody else has locked a byte of a file. @throws SystemError */
export function isByteLocked(fd: number, at: number): boolean {
  const lock = oneByte(at, F_WRLCK);
  if (fcntl()!(fd, F_OFD_GETLK, lock) !== 0) throw lastError('fcntl');
  return new Int16Array(lock.buffer)[0] !== F_UNLCK;
}

/** Whether there are such locks. */
export const hasLocks = () => fcntl() !== undefined && process.platform === 'linux';

function oneByte(at: number, kind: number): Uint8Array {
  const lock = new DataView(new ArrayBuffer(FLOCK_SIZE));
  lock.setInt16(0, kind, true);
  lock.setBigInt64(START, BigInt(at), true);
  lock.setBigInt64(LENGTH, 1n, true);
  return new Uint8Array(lock.buffer);
}
