import { writeSync } from 'node:fs';
import { lastError, libcFunction } from './libc.ts';

const O_CLOEXEC = 0x80000;
const O_NONBLOCK = 0x800;
const F_SETFL = 4;

const pipe2 = libcFunction('int pipe2(void *ends, int flags)');

const fcntl = libcFunction('int fcntl(int fd, int command, int flags)');

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

/** Puts into a pipe what it takes without waiting for a reader. @returns how many bytes. */
export function fillPipe({ write }: Pipe, bytes: Uint8Array): number {
  fcntl()!(write, F_SETFL, O_NONBLOCK);
  try {
    return writeSync(write, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
    throw error;
  }
}
