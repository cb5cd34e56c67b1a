import { lastError, libcFunction } from './libc.ts';

const mlock = libcFunction('int mlock(void *bytes, size_t length)');

/**
 * Keeps the memory of a buffer from being swapped out.
 * @returns false where the system cannot.
 * @throws SystemError ENOMEM or EPERM when the limit (`ulimit -l`) is too low.
 */
export function lockMemory(bytes: Uint8Array): boolean {
  const call = mlock();
  if (!call) return false;
  if (call(bytes, bytes.length) < 0) throw lastError('mlock');
  return true;
}
