import { totalmem } from 'node:os';
import { viewsOf } from '../block/data.ts';
import type { BlockDevice, Data } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { humanSize } from '../block/size.ts';
import { inPlace } from '../block/write-buffer.ts';
import { largePages } from '../posix/large-pages.ts';
import { lockMemory } from '../posix/mlock.ts';

/** Node 20 allows buffers of up to 4 GiB; the disk is made of pieces of this. */
const PIECE = 1 << 30;
const LARGE = 4 << 20;

/**
 * A disk in memory that is allocated as a whole, so that no write can fail for want of it.
 * @param lock keeps it from being swapped out.
 * @throws UsageError when there is not enough memory, or it cannot be locked.
 */
export function flatStore(size: bigint, lock = false): BlockDevice {
  const memory = BigInt(totalmem());
  if (size > memory) {
    throw new UsageError(
      `size: ${humanSize(size)} does not fit in memory: expected at most ${humanSize(memory)}`,
    );
  }
  const pieces = allocate(Number(size), lock);

  const views = (offset: bigint, length: number): Data => {
    const start = Number(offset);
    let at = start % PIECE;
    let index = (start - at) / PIECE;
    if (at + length <= PIECE) return pieces[index]!.subarray(at, at + length);
    const parts: Uint8Array[] = [];
    for (let left = length; left > 0; index++, at = 0) {
      const view = pieces[index]!.subarray(at, at + left);
      parts.push(view);
      left -= view.length;
    }
    return parts;
  };

  return {
    size,
    multiConn: true,
    fua: 'native',
    read: views,
    writeBuffer: (offset, length) => inPlace(views(offset, length)),
    write: (offset, data) => {
      let at = 0;
      for (const view of viewsOf(views(offset, data.length))) {
        view.set(data.subarray(at, at + view.length));
        at += view.length;
      }
    },
    flush: () => {},
    trim: (offset, length) => clear(views(offset, length)),
    zero: (offset, length) => clear(views(offset, length)),
    cache: () => {},
  };
}

function clear(data: Data): void {
  for (const view of viewsOf(data)) view.fill(0);
}

function allocate(size: number, lock: boolean): Buffer[] {
  const pieces: Buffer[] = [];
  try {
    for (let left = size; left > 0; left -= PIECE)
      pieces.push(allocatePiece(Math.min(left, PIECE)));
  } catch {
    throw new UsageError(`size: ${humanSize(BigInt(size))} cannot be allocated`);
  }
  if (lock) {
    for (const piece of pieces) lockPiece(piece);
  }
  return pieces;
}

/** Small ones are not worth the time to load what asks for large pages. */
function allocatePiece(length: number): Buffer {
  const large = length < LARGE ? undefined : largePages(length);
  return large ?? Buffer.alloc(length);
}

function lockPiece(piece: Buffer): void {
  let locked: boolean;
  try {
    locked = lockMemory(piece);
  } catch (error) {
    const reason = (error as Error).message;
    throw new UsageError(`allocator: ${reason}: raise the limit (ulimit -l) or leave out mlock`);
  }
  if (!locked) throw new UsageError('allocator: mlock is not supported on this system');
}
