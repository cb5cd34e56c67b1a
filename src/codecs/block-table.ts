import { BlockError } from '../block/errors.ts';

/** Most blocks of one file: 64 MiB of table. */
const MOST = 1 << 21;

/**
 * A part that can be decoded by itself: where it is, and where what comes of it belongs, in bytes.
 */
export interface EncodedBlock {
  /** Where it begins in the compressed file. */
  readonly from: number;
  /** Bytes there. */
  readonly packed: number;
  /** Where it begins in the disk. */
  readonly start: number;
  /** Bytes there, at least one. */
  readonly length: number;
  /** What else its format knows of it. */
  readonly tag: number;
}

/** The blocks of a compressed file in the order of the disk, without gaps. */
export class BlockTable {
  /** What the file is, in words: `xz`. */
  readonly format: string;
  #starts = new Float64Array(64);
  #froms = new Float64Array(64);
  #packed = new Float64Array(64);
  #tags = new Float64Array(64);
  #count = 0;
  #size = 0;
  #largest = 0;

  constructor(format: string) {
    this.format = format;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of the disk. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of the largest block, decoded. */
  get largest(): number {
    return this.#largest;
  }

  /** @throws BlockError EIO there are too many, or they are too large. */
  add({
    from,
    packed,
    length,
    tag = 0,
  }: Omit<EncodedBlock, 'start' | 'tag'> & { tag?: number }): void {
    if (length === 0) return;
    if (this.#count === MOST) throw this.#bad(`more than ${MOST} blocks`);
    if (!(this.#size + length <= Number.MAX_SAFE_INTEGER)) {
      throw this.#bad('its size is 2^53 bytes or more');
    }
    if (this.#count === this.#starts.length) this.#grow();
    this.#starts[this.#count] = this.#size;
    this.#froms[this.#count] = from;
    this.#packed[this.#count] = packed;
    this.#tags[this.#count] = tag;
    this.#count += 1;
    this.#size += length;
    this.#largest = Math.max(this.#largest, length);
  }

  at(index: number): EncodedBlock {
    const start = this.#starts[index]!;
    const end = index + 1 < this.#count ? this.#starts[index + 1]! : this.#size;
    return {
      from: this.#froms[index]!,
      packed: this.#packed[index]!,
      start,
      length: end - start,
      tag: this.#tags[index]!,
    };
  }

  /** The number of the block that has a byte of the disk. @param offset less than `size`. */
  find(offset: number): number {
    let low = 0;
    for (let high = this.#count - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #bad(words: string): BlockError {
    return new BlockError('EIO', `${this.format}: ${words}`);
  }

  #grow(): void {
    const longer = (column: Float64Array<ArrayBuffer>) => {
      const copy = new Float64Array(column.length * 2);
      copy.set(column);
      return copy;
    };
    this.#starts = longer(this.#starts);
    this.#froms = longer(this.#froms);
    this.#packed = longer(this.#packed);
    this.#tags = longer(this.#tags);
  }
}
