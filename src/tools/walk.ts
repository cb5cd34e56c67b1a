import { contiguous } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { sliceDevice } from '../block/slice.ts';
import { WorkQueue } from '../copy/work-queue.ts';
import type { Range } from './range.ts';

/** What comes next on a disk: bytes, or zeroes that are known without a look at them. */
export interface Piece {
  readonly at: bigint;
  readonly length: number;
  /** Absent: zeroes. */
  readonly bytes?: Uint8Array;
}

/** Bytes that are read at once. */
const LONGEST = 256 << 10;

/**
 * Goes over a part of a disk, with one read ahead. Zeroes that the disk knows of are not read, and
 * are one piece however long they are.
 * @param granularity all pieces but the last are multiples of so many bytes.
 */
export async function* walk(
  device: BlockDevice,
  range: Range,
  granularity: number,
): AsyncGenerator<Piece> {
  const pieces = piecesOf(device, range, granularity);
  for (let next = pieces.next(); ; ) {
    const { value, done } = await next;
    if (done) return;
    next = pieces.next();
    // It is waited for later, if at all.
    next.catch(() => {});
    yield value;
  }
}

async function* piecesOf(
  device: BlockDevice,
  { from, to }: Range,
  granularity: number,
): AsyncGenerator<Piece> {
  const part = sliceDevice(device, from, to - from);
  const queue = new WorkQueue(part, { extents: true, granularity });
  const { signal } = new AbortController();
  for (;;) {
    const chunk = await queue.next(LONGEST, signal);
    if (!chunk) return;
    const { offset, length, zero } = chunk;
    const place = { at: from + offset, length };
    yield zero ? place : { ...place, bytes: contiguous(await part.read(offset, length)) };
  }
}
