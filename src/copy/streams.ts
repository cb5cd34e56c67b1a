/** Copies of which one end is a stream: in order, and of a length that nobody knows before. */
import { Readable } from 'node:stream';
import { viewsOf, zeroes } from '../block/data.ts';
import type { Data } from '../block/device.ts';
import { BufferPool } from './buffer-pool.ts';
import {
  type Connections,
  type CopyOptions,
  connectionsOf,
  flushAll,
  type WriteSettings,
  zeroingOf,
} from './copy.ts';
import { located } from './errors.ts';
import { Growing } from './grow.ts';
import { observing } from './observer.ts';
import { readChunk } from './reading.ts';
import { type Parallelism, suitable } from './request-size.ts';
import { runSlots, Turns } from './slots.ts';
import { SparseWriter } from './sparse-writer.ts';
import { type Chunk, WorkQueue } from './work-queue.ts';

/**
 * Puts the next bytes of a stream at the beginning of `memory`, as many as there are, and says how
 * many; 0 is the end.
 */
export type ReadBytes = (memory: Uint8Array, signal: AbortSignal) => number | PromiseLike<number>;

/** Appends bytes to a stream; they change once it has answered. */
export type WriteBytes = (bytes: Uint8Array, signal: AbortSignal) => void | PromiseLike<void>;

/** Most zeroes that are written at once, in bytes. */
const LONGEST_ZEROES = 1 << 20;
const NOTHING = new Uint8Array(0);

/**
 * Copies a stream to the beginning of a device: one slot reads at a time, all of them write. A
 * device that can grow is made as long as the stream.
 * @returns the number of bytes.
 * @throws BlockError as `copy`.
 */
export async function copyFromStream(
  from: ReadBytes | AsyncIterable<Uint8Array>,
  to: Connections,
  options: WriteSettings = {},
): Promise<bigint> {
  const destinations = connectionsOf(to);
  const destination = destinations[0]!;
  const requests = suitable(options, destinations.length, [destination]);
  const zeroing = zeroingOf(destination, options, requests);
  const read = typeof from === 'function' ? from : readerOf(from);
  const growing = new Growing(destination);
  const turns = new Turns();
  let offset = 0n;
  let ended = false;
  const take = async (buffer: Uint8Array, signal: AbortSignal) => {
    const at = offset;
    if (ended || signal.aborted) return { at, length: 0 };
    // Nobody reads on when this fails.
    ended = true;
    const length = await fill(read, buffer, at, signal);
    await growing.reach(at + BigInt(length), signal);
    offset += BigInt(length);
    ended = length < buffer.length;
    return { at, length };
  };
  await runSlots(requests.slots, options.signal, async (index, signal) => {
    const writer = new SparseWriter(destinations[index % destinations.length]!, zeroing, signal);
    const buffer = Buffer.allocUnsafeSlow(requests.size);
    for (;;) {
      const { at, length } = await turns.take(() => take(buffer, signal));
      if (length === 0 || signal.aborted) return;
      const data = buffer.subarray(0, length);
      const written = observing(options.observer, { offset: at, length, zero: false }, data);
      await writer.write(at, data);
      if (written) await written();
      options.progress?.(length);
    }
  });
  await runSlots(1, options.signal, (_, signal) => growing.settle(offset, signal));
  if (options.flush) await flushAll(destinations, options.signal);
  return offset;
}

/** Fills a buffer, but for the end of the stream; gives the number of bytes. */
async function fill(
  read: ReadBytes,
  buffer: Uint8Array,
  offset: bigint,
  signal: AbortSignal,
): Promise<number> {
  let done = 0;
  try {
    while (done < buffer.length) {
      const count = await read(buffer.subarray(done), signal);
      if (count === 0) break;
      done += count;
    }
  } catch (error) {
    throw located('read', offset + BigInt(done), error);
  }
  return done;
}

/** Reads what an iterator gives; when the copy ends before it, it is told, and not waited for. */
function readerOf(stream: AsyncIterable<Uint8Array>): ReadBytes {
  const iterator = stream[Symbol.asyncIterator]();
  let left: Uint8Array = NOTHING;
  let giveUp: ((reason: unknown) => void) | undefined;
  const watch = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => {
      giveUp?.(signal.reason);
      // A stream of Node's that is asked for its next bytes would return only when it has them.
      if (stream instanceof Readable) stream.destroy();
      else iterator.return?.().then(undefined, () => {});
    });
  };
  return async (memory, signal) => {
    if (!giveUp) watch(signal);
    while (left.length === 0) {
      const { done, value } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = reject;
        iterator.next().then(resolve, reject);
      });
      if (done) return 0;
      left = value;
    }
    const part = left.subarray(0, memory.length);
    memory.set(part);
    left = left.subarray(part.length);
    return part.length;
  };
}

/**
 * Copies all of a device to a stream: reads ahead in all slots, writes in order.
 * @throws BlockError as `copy`.
 */
export async function copyToStream(
  from: Connections,
  write: WriteBytes,
  options: Parallelism & Pick<CopyOptions, 'signal' | 'progress' | 'extents' | 'observer'> = {},
): Promise<void> {
  const sources = connectionsOf(from);
  const source = sources[0]!;
  const { granularity, size, slots } = suitable(options, sources.length, [source]);
  const queue = new WorkQueue(source, { extents: options.extents ?? true, granularity });
  const pool = new BufferPool(size);
  const asking = new Turns();
  const writing = new Turns();
  await runSlots(slots, options.signal, async (index, signal) => {
    const { memory, done } = pool.loan();
    /** Asks for the next chunk and begins to read it, so that it is the next to be written. */
    const begin = async () => {
      const chunk = await queue.next(size, signal);
      if (!chunk || signal.aborted) return undefined;
      const data = chunk.zero
        ? undefined
        : readChunk(sources[index % sources.length]!, chunk, memory, signal);
      // It is awaited when its turn comes.
      data?.catch(() => {});
      const act = async () => {
        const bytes = await data;
        const written = observing(options.observer, chunk, bytes);
        await append(write, chunk, bytes, signal);
        return written;
      };
      return { appended: writing.take(act), chunk };
    };
    for (;;) {
      const begun = await asking.take(begin);
      if (!begun) return;
      const written = await begun.appended;
      done();
      if (written) await written();
      options.progress?.(begun.chunk.length);
    }
  });
}

async function append(
  write: WriteBytes,
  { offset, length }: Chunk,
  data: Data | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (data) {
      for (const view of viewsOf(data)) {
        if (!signal.aborted) await write(view, signal);
      }
      return;
    }
    for (let left = length; left > 0 && !signal.aborted; left -= LONGEST_ZEROES) {
      await write(zeroes(Math.min(left, LONGEST_ZEROES)) as Uint8Array, signal);
    }
  } catch (error) {
    throw located('write', offset, error);
  }
}
