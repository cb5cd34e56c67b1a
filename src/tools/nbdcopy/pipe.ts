/** Pipes, terminals and all that is read and written in order, by their descriptors. */
import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import type { CopyOptions } from '../../copy/copy.ts';
import { located } from '../../copy/errors.ts';
import { observing } from '../../copy/observer.ts';
import type { ReadBytes } from '../../copy/streams.ts';
import { libcFunction } from '../../posix/libc.ts';

const readOnce = promisify(read);
const writeOnce = promisify(write);
const exit = libcFunction('void _exit(int status)');
const RETRY_MS = 5;
const PIPE_BUFFER = 1 << 20;

/** Reads what there is, 0 bytes at the end. A pipe that is silent when it ends is left alone. */
export function readFrom(fd: number): ReadBytes {
  return (memory, signal) =>
    new Promise((resolve, reject) => {
      const leave = () => {
        exitWithoutWaiting();
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave);
      readNext(fd, memory)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', leave));
    });
}

/** Node would wait for the thread that reads, and so for whoever writes the pipe. */
function exitWithoutWaiting(): void {
  process.once('exit', status => exit()?.(status));
}

async function readNext(fd: number, memory: Uint8Array): Promise<number> {
  const { bytesRead } = await patiently(() => readOnce(fd, memory, 0, memory.length, null));
  return bytesRead;
}

/** Writes all of the bytes. */
export function writeTo(fd: number): (bytes: Uint8Array) => Promise<void> {
  return async bytes => {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done);
      const { bytesWritten } = await patiently(() => writeOnce(fd, part, 0, part.length, null));
      done += bytesWritten;
    }
  };
}

/** Reads what there is, or, for who wants to see whole blocks, as much as there is room for. */
async function nextOf(
  fd: number,
  memory: Uint8Array,
  offset: bigint,
  whole: boolean,
): Promise<number> {
  for (let done = 0; ; ) {
    const at = offset + BigInt(done);
    const count = await readNext(fd, memory.subarray(done)).catch(error => {
      throw located('read', at, error);
    });
    done += count;
    if (!whole || count === 0 || done === memory.length) return done;
  }
}

/** Hands on all that comes. @throws BlockError that says where. */
export async function passOn(
  from: number,
  to: number,
  { observer, granularity = 1, progress }: CopyOptions,
): Promise<void> {
  const writeAll = writeTo(to);
  const buffer = Buffer.allocUnsafeSlow(Math.max(PIPE_BUFFER, granularity));
  for (let offset = 0n; ; ) {
    const length = await nextOf(from, buffer, offset, observer !== undefined);
    if (length === 0) return;
    const data = buffer.subarray(0, length);
    const written = observing(observer, { offset, length, zero: false }, data);
    await writeAll(data).catch(error => {
      throw located('write', offset, error);
    });
    await written?.();
    offset += BigInt(length);
    progress?.(length);
  }
}

/** Whether an error says that whoever reads a pipe has left. */
export function isBrokenPipe(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return (cause as NodeJS.ErrnoException | undefined)?.code === 'EPIPE';
}

/** A pipe that someone else has made non-blocking says EAGAIN instead of waiting. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    }
  }
}
