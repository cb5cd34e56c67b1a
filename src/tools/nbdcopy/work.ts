import type { BlockDevice, Extent } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';

/** A part of the source: zeroes, or at most one request's worth of data. */
export interface Piece {
  readonly offset: bigint;
  readonly length: number;
  readonly zero: boolean;
}

interface Run {
  readonly end: bigint;
  readonly zero: boolean;
}

const LONGEST = Number.MAX_SAFE_INTEGER;

/** Goes over a source once, in order, and says what has to be copied as data and what is zero. */
export class Work {
  readonly #source: BlockDevice;
  readonly #extents: boolean;
  readonly #pieceSize: number;
  readonly #zeroSize: number;
  readonly #granularity: bigint;
  #offset = 0n;
  #runs: Run[] = [];
  #asking: Promise<void> | undefined;

  /**
   * @param extents ask the source where it reads as zeroes.
   * @param pieceSize most bytes of a piece of data.
   * @param granularity every piece begins, and but for the last ends, at a multiple of this.
   * @param zeroSize most bytes of a piece of zeroes.
   */
  constructor(
    source: BlockDevice,
    extents: boolean,
    pieceSize: number,
    granularity: number,
    zeroSize = LONGEST,
  ) {
    this.#source = source;
    this.#extents = extents;
    this.#pieceSize = pieceSize;
    this.#zeroSize = zeroSize;
    this.#granularity = BigInt(granularity);
  }

  /** The next piece; undefined at the end. May be called again before it has answered. */
  next(): Piece | undefined | Promise<Piece | undefined> {
    if (this.#offset >= this.#source.size) return undefined;
    while (this.#runs[0] && this.#runs[0].end <= this.#offset) this.#runs.shift();
    const run = this.#runs[0];
    if (run) return this.#take(run);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking.then(() => this.next());
  }

  #take({ end, zero }: Run): Piece {
    const offset = this.#offset;
    const left = end - offset;
    const longest = zero ? this.#zeroSize : this.#pieceSize;
    const length = left < BigInt(longest) ? Number(left) : longest;
    this.#offset += BigInt(length);
    return { offset, length, zero };
  }

  async #ask(): Promise<void> {
    const { size } = this.#source;
    if (!this.#extents || !this.#source.extents) {
      this.#runs = [{ end: size, zero: false }];
      return;
    }
    const left = size - this.#offset;
    const length = left < BigInt(LONGEST) ? Number(left) : LONGEST;
    this.#runs = this.#align(await this.#source.extents(this.#offset, length));
    if (this.#runs.length === 0) throw new BlockError('EIO', 'the source gave no extents');
  }

  /** Data grows to whole blocks, zeroes shrink. */
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
      if (end > (runs.at(-1)?.end ?? this.#offset)) runs.push({ end, zero });
    }
    // A short run of zeroes that fills no block is data.
    if (runs.length === 0 && at > this.#offset) {
      runs.push({ end: smaller(this.#offset + block, size), zero: false });
    }
    return runs;
  }
}

const smaller = (a: bigint, b: bigint) => (a < b ? a : b);
