import { libcFunction } from './libc.ts';

const POLLHUP = 0x10;
const POLLNVAL = 0x20;

const pollOf = libcFunction('int poll(void *fds, ulong count, int timeout)');

/**
 * Whether nobody has the other end of a pipe or socket open any more; nothing is read from it.
 * `invalid`: there is no such descriptor. undefined where the system does not say.
 */
export function hungUp(fd: number): boolean | 'invalid' | undefined {
  // fd, then events and what has happened as two shorts.
  const fields = Int32Array.of(fd, 0);
  const count = pollOf()?.(new Uint8Array(fields.buffer), 1, 0);
  if (count === undefined || count < 0) return undefined;
  const happened = fields[1]! >>> 16;
  return (happened & POLLNVAL) !== 0 ? 'invalid' : (happened & POLLHUP) !== 0;
}
