import { readFileSync } from 'node:fs';
import { BlockError } from '../block/errors.ts';
import { lastError, libcFunction } from './libc.ts';

const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
/** Only what is really there: Node reserves much more than it uses. */
const MCL_ONFAULT = 4;

const mlockall = libcFunction('int mlockall(int flags)');
const munlockall = libcFunction('int munlockall()');
const munlock = libcFunction('int munlock(uintptr_t bytes, size_t length)');
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
 * Keeps the memory of this process, now and later, from being swapped out: all but compiled code.
 * @returns what ends that; no thread may end before.
 * @throws BlockError ENOTSUP where the system cannot; SystemError ENOMEM or EPERM.
 */
export function lockProcess(): () => void {
  const call = mlockall();
  if (!call) throw new BlockError('ENOTSUP', 'mlockall is not supported on this system');
  if (call(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) throw lastError('mlockall');
  const maps = readFileSync('/proc/self/maps', 'latin1');
  // V8 takes it for a fatal error when it cannot give space for code back, as with locked memory.
  for (const [, start, end] of maps.matchAll(CODE)) {
    const address = BigInt(`0x${start}`);
    munlock()!(address, BigInt(`0x${end}`) - address);
  }
  return () => void munlockall()!();
}

/** In the list of mappings: anonymous memory that may be executed, or is kept free for that. */
const CODE = /^(\w+)-(\w+) (?:..x|---). \w+ 00:00 0 *$/gm;
