import type { BlockDevice, Extent } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { located } from './errors.ts';

/** A part of the source: zeroes, or at most one request's worth of data. */
export interface Chunk {
  readonly offset: bigint;
  readonly length: number;
  readonly zero: boolean;
}

interface Run {
  end: bigint;
  readonly zero: boolean;
}

export interface QueueOptions {
  /** Ask the source where it reads as zeroes. */
  readonly extents: boolean;
  /** Every chunk begins, and but for the last ends, at a multiple of so many bytes. */
  readonly granularity: number;
  /**
   * Most bytes of a chunk of zeroes, of which none reaches over a multiple of it; a multiple of
   * `granularity`.
   */
  readonly longestZero?: number | undefined;
  /** Where to begin, a multiple of `granularity`. */
  readonly start?: bigint | undefined;
}

/** The longest range in one question, in bytes. */
const LONGEST = 2 ** 52;

/** Goes over a source once, in order, and says what has to be copied as data and what is zero. */
export class WorkQueue {
  readonly #source: BlockDevice;
  readonly #extents: boolean;
  readonly #granularity: bigint;
  readonly #longestZero: number;
  #offset: bigint;
  #runs: Run[] = [];
  #asking: Promise<void> | undefined;

  constructor(source: BlockDevice, options: QueueOptions) {
    this.#source = source;
    this.#extents = options.extents;
    this.#granularity = BigInt(options.granularity);
    this.#longestZero = options.longestZero ?? LONGEST;
    this.#offset = options.start ?? 0n;
  }

  /**
   * The next chunk; undefined at the end. May be called again before it has answered.
   * @param longest most bytes of a chunk of data, a multiple of the granularity.
   * @throws BlockError
   */
  next(longest: number, signal: AbortSignal): Chunk | undefined | Promise<Chunk | undefined> {
    if (this.#offset >= this.#source.size) return undefined;
    while (this.#runs[0] && this.#runs[0].end <= this.#offset) this.#runs.shift();
    const run = this.#runs[0];
    if (run) return this.#take(run, run.zero ? this.#zeroesAhead() : longest);
    this.#asking ??= this.#ask(signal).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking.then(() => this.next(longest, signal));
  }

  /** Takes back the chunk that `next` gave last. */
  putBack({ offset }: Chunk): void {
    this.#offset = offset;
  }

  #take({ end, zero }: Run, longest: number): Chunk {
    const offset = this.#offset;
    const left = end - offset;
    const length = left < BigInt(longest) ? Number(left) : longest;
    this.#offset += BigInt(length);
    return { offset, length, zero };
  }

  #zeroesAhead(): number {
    return this.#longestZero - Number(this.#offset % BigInt(this.#longestZero));
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { size } = this.#source;
    if (!this.#extents || !this.#source.extents) {
      this.#runs = [{ end: size, zero: false }];
      return;
    }
    const offset = this.#offset;
    const length = size - offset < BigInt(LONGEST) ? Number(size - offset) : LONGEST;
    try {
      const extents = await this.#source.extents(offset, length, { signal });
      this.#runs = this.#align(extents);
    } catch (error) {
      throw located('block status', offset, error);
    }
    if (this.#runs.length === 0) throw new BlockError('EIO', 'the source gave no extents');
  }

  /** Data grows to whole blocks, zeroes shrink, and neighbours of one kind are one run. */
  #align(extents: readonly Extent[]): Run[] {
    const { size } = this.#source;
    const block = this.#granularity;
    const runs: Run[] = [];
    let at = this.#offset;
    for (const { length, zero } of extents) {
      at += BigInt(length);
      const excess = at % block;
      let end = at - excess;
      if (!zero && excess > 0n) end += block;
      if (at >= size || end > size) end = size;
      const last = runs.at(-1);
      if (end <= (last?.end ?? this.#offset)) continue;
      if (last?.zero === zero) last.end = end;
      else runs.push({ end, zero });
    }
    // A short run of zeroes that fills no block is data.
    if (runs.length === 0 && at > this.#offset) {
      runs.push({ end: smaller(this.#offset + block, size), zero: false });
    }
    return runs;
  }
}

const smaller = (a: bigint, b: bigint) => (a < b ? a : b);
