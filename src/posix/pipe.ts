import { lastError, libcFunction } from './libc.ts';

const O_CLOEXEC = 0x80000;

const pipe2 = libcFunction('int pipe2(void *ends, int flags)');

/** The descriptors of a pipe's two ends. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

/**
 * A pipe, which no other program inherits by itself; undefined where it cannot be made, so that
 * Node's own channels, which are sockets, must do. @throws SystemError
 */
export function makePipe(): Pipe | undefined {
  const make = pipe2();
  if (!make) return undefined;
  const ends = new Int32Array(2);
  if (make(new Uint8Array(ends.buffer), O_CLOEXEC) < 0) throw lastError('pipe2');
  return { read: ends[0]!, write: ends[1]! };
}
