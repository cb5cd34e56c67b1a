import { copyRange } from '../posix/copy-range.ts';
import { located } from './errors.ts';
import type { Chunk } from './work-queue.ts';

/** Moves a chunk of data as a whole; false where it must be read and written instead. */
export type Move = (chunk: Chunk) => Promise<boolean>;

/** Lets the kernel copy chunks of one file into another; both are descriptors. */
export function kernelMove(from: number, to: number): Move {
  return async ({ offset, length }) => {
    for (let done = 0; done < length; ) {
      const at = offset + BigInt(done);
      const count = await copyRange(from, at, to, at, length - done).catch(error => {
        throw located('copy', at, error);
      });
      if (count === undefined) return false;
      if (count === 0) throw located('read', at, new Error('the file was cut short'));
      done += count;
    }
    return true;
  };
}
