import { isZero } from '../block/data.ts';
import type { StatusRun } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';

/** Most memory for one bitmap, in bytes. */
const MOST = 256 << 20;
const DIRTY = 1;

/** The bits of a bitmap: which blocks of a disk were changed. */
export class BitmapBits {
  readonly granularity: number;
  readonly bytes: Buffer;
  readonly #size: bigint;

  /** @param size of the disk, in bytes. @throws BlockError ENOMEM */
  constructor(size: bigint, granularity: number, bytes?: Buffer) {
    const length = bytesFor(size, granularity);
    if (length > MOST) throw new BlockError('ENOMEM', 'a bitmap is too fine to be kept in memory');
    this.granularity = granularity;
    this.bytes = Buffer.alloc(length);
    bytes?.copy(this.bytes);
    this.#size = size;
  }

  /** Notes that a range was changed. */
  mark(offset: bigint, length: number): void {
    const each = BigInt(this.granularity);
    const first = Number(offset / each);
    const last = Number((offset + BigInt(length) - 1n) / each);
    for (let bit = first; bit <= last; ) {
      if (bit % 8 === 0 && last - bit >= 7) {
        const whole = Math.floor((last - bit + 1) / 8);
        this.bytes.fill(0xff, bit / 8, bit / 8 + whole);
        bit += whole * 8;
      } else {
        this.bytes[bit >> 3]! |= 1 << (bit & 7);
        bit += 1;
      }
    }
  }

  has(bit: number): boolean {
    return ((this.bytes[Math.floor(bit / 8)]! >> (bit & 7)) & 1) === 1;
  }

  /** Whatever another one says is said here, too; they may be of different granularity. */
  merge(other: BitmapBits): void {
    const each = BigInt(other.granularity);
    for (let byte = 0; byte < other.bytes.length; byte++) {
      if (other.bytes[byte] === 0) continue;
      for (let bit = byte * 8; bit < byte * 8 + 8; bit++) {
        const at = BigInt(bit) * each;
        if (at >= this.#size || !other.has(bit)) continue;
        const left = this.#size - at;
        this.mark(at, left < each ? Number(left) : other.granularity);
      }
    }
  }

  get isEmpty(): boolean {
    return isZero(this.bytes);
  }

  /** Runs for block status: 1 for what was changed. */
  status(offset: bigint, length: number): StatusRun[] {
    const runs: { length: number; flags: number }[] = [];
    const end = offset + BigInt(length);
    for (let at = offset; at < end; ) {
      const bit = Number(at / BigInt(this.granularity));
      const next = BigInt(bit + 1) * BigInt(this.granularity);
      const step = Number((next < end ? next : end) - at);
      const flags = this.has(bit) ? DIRTY : 0;
      const last = runs.at(-1);
      if (last?.flags === flags) last.length += step;
      else runs.push({ length: step, flags });
      at += BigInt(step);
    }
    return runs;
  }
}

/** Bytes of a bitmap. */
export function bytesFor(size: bigint, granularity: number): number {
  const bits = (size + BigInt(granularity) - 1n) / BigInt(granularity);
  return Number((bits + 7n) / 8n);
}
