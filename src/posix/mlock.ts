import { BlockError } from '../block/errors.ts';
import { lastError, libcFunction } from './libc.ts';

const MCL_CURRENT = 1;
const MCL_FUTURE = 2;

const mlockall = libcFunction('int mlockall(int flags)');
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

/**
 * Keeps the memory of this process, now and later, from being swapped out.
 * @throws BlockError ENOTSUP where the system cannot; SystemError ENOMEM or EPERM.
 */
export function lockProcess(): void {
  const call = mlockall();
  if (!call) throw new BlockError('ENOTSUP', 'mlockall is not supported on this system');
  if (call(MCL_CURRENT | MCL_FUTURE) < 0) throw lastError('mlockall');
}
