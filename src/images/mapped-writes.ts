import { isPromise } from '../block/answer.ts';
import { contiguous, isKnownZero, viewsOf } from '../block/data.ts';
import type { RequestOptions, WriteOptions, ZeroOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { holding, RangeLock } from '../block/range-lock.ts';
import { outward, segmentsOf } from '../block/segments.ts';
import type { Bytes, MappedReads } from './mapped-device.ts';
import type { Allocation, Place, Run } from './run.ts';

/** Zeroes are written in pieces of so many bytes where they must be. */
const PIECE = new Uint8Array(1 << 20);

/**
 * Writes through a mapping. What has its place already is written there and waits for nobody but
 * those who take the place away; the rest is alone with its clusters while it gets one.
 */
export class MappedWrites {
  readonly #disk: MappedReads;
  readonly #data: Bytes;
  readonly #allocation: Allocation;
  readonly #locks = new RangeLock();

  constructor(disk: MappedReads, data: Bytes, allocation: Allocation) {
    this.#disk = disk;
    this.#data = data;
    this.#allocation = allocation;
  }

  write(offset: bigint, data: Uint8Array, options?: WriteOptions): void | PromiseLike<void> {
    const run = this.#disk.mapping.find(offset, data.length);
    if (!isPromise(run) && run.length === data.length && hasPlace(run)) {
      const lock = this.#locks.shared(offset, data.length, options?.signal);
      // Who waits for the lock may find the place taken away.
      if (!isPromise(lock)) {
        return holding(lock, () => this.#data.write!(BigInt(run.at!), data, options));
      }
      return lock.then(release => {
        release();
        return this.write(offset, data, options);
      });
    }
    // Whoever is alone asks again, and hears what is wrong.
    if (isPromise(run)) run.then(undefined, () => {});
    return this.#alone(offset, data.length, options, () => this.#put(offset, data, options));
  }

  zero(offset: bigint, length: number, options: ZeroOptions = {}): void | PromiseLike<void> {
    const { zero, unit, zeroUnit = unit } = this.#allocation;
    const { fastZero, mayTrim = false } = options;
    const segments = segmentsOf(offset, length, zeroUnit, this.#disk.mapping.size);
    if (fastZero && (!zero || segments.some(({ whole }) => !whole))) {
      throw new BlockError('ENOTSUP', `zeroing a part of a block of ${zeroUnit} bytes is not fast`);
    }
    return this.#alone(offset, length, options, async () => {
      for (const segment of segments) {
        if (segment.whole && zero) {
          await zero.call(this.#allocation, segment.offset, segment.length, mayTrim);
        } else await this.#putZeroes(segment.offset, segment.length, options);
      }
    });
  }

  /** Writes zeroes that take their place. */
  async fill(offset: bigint, length: number): Promise<void> {
    for (let done = 0; done < length; done += PIECE.length) {
      await this.write(offset + BigInt(done), PIECE.subarray(0, length - done));
    }
  }

  trim(offset: bigint, length: number): void | PromiseLike<void> {
    const { cluster } = this.#allocation;
    const inner = segmentsOf(offset, length, cluster, this.#disk.mapping.size).find(
      ({ whole }) => whole,
    );
    if (!inner || !this.#allocation.discard) return;
    return this.#alone(inner.offset, inner.length, {}, async () =>
      this.#allocation.discard!(inner.offset, inner.length),
    );
  }

  /** Acts while nobody else has to do with the clusters of a range. */
  #alone(
    offset: bigint,
    length: number,
    options: WriteOptions | undefined,
    act: () => Promise<void>,
  ): void | PromiseLike<void> {
    const { cluster } = this.#allocation;
    const { start, span } = outward(offset, length, cluster, this.#disk.mapping.size);
    return holding(this.#locks.exclusive(start, span, options?.signal), act);
  }

  async #put(offset: bigint, data: Uint8Array, options: RequestOptions | undefined): Promise<void> {
    for (let done = 0; done < data.length; ) {
      options?.signal?.throwIfAborted();
      const at = offset + BigInt(done);
      const found = this.#disk.mapping.find(at, data.length - done);
      const run = isPromise(found) ? await found : found;
      done += await this.#putRun(run, at, data.subarray(done, done + run.length));
    }
  }

  async #putZeroes(offset: bigint, length: number, options: RequestOptions): Promise<void> {
    const known = viewsOf(await this.#disk.read(offset, length, { signal: options.signal }));
    if (known.every(isKnownZero)) return;
    for (let done = 0; done < length; done += PIECE.length) {
      const piece = PIECE.subarray(0, length - done);
      await this.#put(offset + BigInt(done), piece, options);
    }
  }

  /** @returns how many of the bytes it has written. */
  async #putRun(run: Run, offset: bigint, bytes: Uint8Array): Promise<number> {
    if (hasPlace(run)) {
      await this.#data.write!(BigInt(run.at!), bytes);
      return bytes.length;
    }
    const { unit, cluster } = this.#allocation;
    // What leaves its cluster leaves it as a whole.
    const together = run.shared || run.kind === 'packed' ? cluster : unit;
    const { start, span } = outward(offset, bytes.length, together, this.#disk.mapping.size);
    const place = await this.#allocation.place(start, span);
    const before = Number(offset - start);
    const data = bytes.subarray(0, place.length - before);
    try {
      await this.#fill(place, { start, span: Math.min(span, place.length) }, before, data);
    } catch (error) {
      this.#allocation.abandon?.(place);
      throw error;
    }
    await this.#allocation.commit(start, place);
    return data.length;
  }

  /** Data in a place of its own, between what the disk has before and after it. */
  async #fill(
    place: Place,
    { start, span }: { start: bigint; span: number },
    before: number,
    data: Uint8Array,
  ): Promise<void> {
    const after = before + data.length;
    const around = async (from: number, to: number) =>
      to > from ? viewsOf(await this.#disk.read(start + BigInt(from), to - from)) : [];
    const head = await around(0, before);
    const tail = await around(after, span);
    const isBlank = (views: readonly Uint8Array[]) => place.fresh && views.every(isKnownZero);
    const [blankHead, blankTail] = [isBlank(head), isBlank(tail)];
    const views = [...(blankHead ? [] : head), data, ...(blankTail ? [] : tail)];
    await this.#data.write!(BigInt(place.at + (blankHead ? before : 0)), contiguous(views));
  }
}

const hasPlace = ({ kind, shared }: Run) => kind === 'data' && !shared;
