import { byteLength, contiguous, isZero, sliceData, viewsOf } from '../block/data.ts';
import type { BlockDevice, Data, Memory } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { mismatch } from '../block/verify.ts';
import { BufferPool } from './buffer-pool.ts';
import { type Connections, type CopyOptions, connectionsOf, flushAll } from './copy.ts';
import { located } from './errors.ts';
import { readChunk } from './reading.ts';
import { minimumBlock, type Parallelism, type Requests, suitable } from './request-size.ts';
import { runSlots } from './slots.ts';
import { type Chunk, WorkQueue } from './work-queue.ts';

export type CompareOptions = Parallelism & Pick<CopyOptions, 'signal' | 'progress' | 'extents'>;

/**
 * Reads all of the source and as much of its copy, after a flush there, and compares them. What both
 * know to be zero is not read.
 * @throws BlockError EIO with the offset of the first difference in a request; what `copy` throws.
 */
export async function compare(
  from: Connections,
  to: Connections,
  options: CompareOptions = {},
): Promise<void> {
  const sources = connectionsOf(from);
  const copies = connectionsOf(to);
  const [source, copy] = [sources[0]!, copies[0]!];
  const count = Math.max(sources.length, copies.length);
  const requests = suitable(options, count, [source, copy]);
  const { granularity, size, slots } = requests;
  await flushAll(copies, options.signal);
  const queue = new WorkQueue(source, { extents: options.extents ?? true, granularity });
  const pool = new BufferPool(size);
  await runSlots(slots, options.signal, async (index, signal) => {
    const mine = pool.loan();
    const theirs = pool.loan();
    const there = new Copy(copies[index % copies.length]!, requests, theirs.memory, signal);
    for (;;) {
      const chunk = await queue.next(size, signal);
      if (!chunk || signal.aborted) return;
      if (chunk.zero) await there.zeroes(chunk, theirs.done);
      else {
        const reading = readChunk(sources[index % sources.length]!, chunk, mine.memory, signal);
        await there.same(chunk, await reading);
      }
      mine.done();
      theirs.done();
      options.progress?.(chunk.length);
    }
  });
}

/** What is to be the same as the source. */
class Copy {
  readonly #device: BlockDevice;
  readonly #requests: Requests;
  readonly #memory: Memory;
  readonly #signal: AbortSignal;

  constructor(device: BlockDevice, requests: Requests, memory: Memory, signal: AbortSignal) {
    this.#device = device;
    this.#requests = requests;
    this.#memory = memory;
    this.#signal = signal;
  }

  async same({ offset, length }: Chunk, data: Data): Promise<void> {
    const at = mismatch(contiguous(data), await this.#read(offset, length));
    if (at !== undefined) throw difference(offset + BigInt(at));
  }

  /** @param done gives back the memory of what was read. */
  async zeroes({ offset, length }: Chunk, done: () => void): Promise<void> {
    const { granularity, size } = this.#requests;
    for (let start = 0; start < length && !this.#signal.aborted; ) {
      const at = offset + BigInt(start);
      const left = length - start;
      const run = await this.#runAt(at, left);
      const whole = run.length - (run.length % granularity);
      if (run.zero && (whole > 0 || run.length >= left)) {
        start += run.length >= left ? left : whole;
        continue;
      }
      const count = Math.min(left, size, Math.ceil(run.length / granularity) * granularity);
      const data = await this.#read(at, count);
      if (!viewsOf(data).every(isZero)) {
        const index = contiguous(data).findIndex(byte => byte !== 0);
        throw difference(at + BigInt(index));
      }
      done();
      start += count;
    }
  }

  async #runAt(offset: bigint, length: number): Promise<{ length: number; zero: boolean }> {
    const { extents } = this.#device;
    if (!extents) return { length, zero: false };
    try {
      const [run] = await this.#device.extents!(offset, length, {
        one: true,
        signal: this.#signal,
      });
      if (run && run.length > 0) return run;
      throw new BlockError('EIO', 'the destination gave no extents');
    } catch (error) {
      throw located('block status of the destination', offset, error);
    }
  }

  /** Reads whole blocks, of which the last may reach past `length`. */
  async #read(offset: bigint, length: number): Promise<Data> {
    const block = minimumBlock(this.#device);
    const left = this.#device.size - offset;
    const whole = Math.ceil(length / block) * block;
    const count = left < BigInt(whole) ? Number(left) : whole;
    const chunk = { offset, length: count, zero: false };
    const data = await readChunk(this.#device, chunk, this.#memory, this.#signal).catch(error => {
      throw located('reading back', offset, error.cause ?? error);
    });
    return byteLength(data) === length ? data : sliceData(data, 0, length);
  }
}

function difference(offset: bigint): BlockError {
  return new BlockError('EIO', `the copy differs from the source at offset ${offset}`, { offset });
}
