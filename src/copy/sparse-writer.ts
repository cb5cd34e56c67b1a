import { byteLength, contiguous, isKnownZero, isZero, zeroes } from '../block/data.ts';
import type { BlockDevice, Data, WriteOptions } from '../block/device.ts';
import { zeroRange } from '../block/emulate.ts';
import { located } from './errors.ts';
import { gather } from './gather.ts';
import { longestRequest, minimumBlock } from './request-size.ts';

/** How a destination wants its zeroes. */
export interface Zeroing {
  /** Zeroes take space there. */
  readonly allocated: boolean;
  /** What is not written reads as zeroes. */
  readonly isZero: boolean;
  /** Bytes of the blocks of data that are searched for zeroes, a power of two; 0: none. */
  readonly sparse: number;
}

/**
 * Writes data to a device in requests that it takes, whole blocks and no longer than its maximum,
 * and blocks that hold nothing but zeroes as zeroes.
 */
export class SparseWriter {
  readonly #device: BlockDevice;
  readonly #options: WriteOptions;
  readonly #minimum: number;
  readonly #longest: number;
  readonly #sparse: number;
  readonly #mayTrim: boolean;
  readonly #isZero: boolean;

  constructor(device: BlockDevice, { allocated, isZero, sparse }: Zeroing, signal: AbortSignal) {
    this.#device = device;
    this.#options = { signal };
    this.#minimum = minimumBlock(device);
    this.#longest = longestRequest(device);
    this.#sparse = sparse === 0 ? 0 : Math.max(sparse, this.#minimum);
    this.#mayTrim = !allocated;
    this.#isZero = isZero;
  }

  /**
   * @param offset a multiple of the device's minimum block. Where the data ends inside a block, the
   * rest of it stays as it is.
   * @param begun is called once nothing more is to be begun.
   * @throws BlockError that says where.
   */
  async write(offset: bigint, data: Data, begun?: () => void): Promise<void> {
    if (this.#sparse === 0) {
      const put = this.#data(offset, contiguous(data));
      begun?.();
      return put;
    }
    const end = offset + BigInt(byteLength(data));
    let at = offset;
    for (const view of gather(data, this.#minimum)) {
      const next = at + BigInt(view.length);
      if (isKnownZero(view)) await this.zero(at, view.length);
      else await this.#split(at, view, next === end ? begun : undefined);
      at = next;
    }
  }

  /** As `write`, with zeroes. */
  async zero(offset: bigint, length: number): Promise<void> {
    if (this.#isZero && this.#mayTrim) return;
    const ragged = this.#ragged(offset, length);
    const whole = length - ragged;
    if (whole > 0) {
      await zeroRange(this.#device, offset, whole, {
        ...this.#options,
        mayTrim: this.#mayTrim,
      }).catch(error => {
        throw located('write zeroes', offset, error);
      });
    }
    if (ragged > 0) await this.#lastBlock(offset + BigInt(whole), zeroes(ragged) as Uint8Array);
  }

  /** Writes runs of blocks of data, and those of zeroes as zeroes. */
  async #split(offset: bigint, view: Uint8Array, begun?: () => void): Promise<void> {
    const block = this.#sparse;
    // The first block may have begun before.
    const first = block - Number(offset % BigInt(block));
    let start = 0;
    while (start < view.length) {
      const zero = blockIsZero(view, start, start === 0 ? first : start + block);
      let end = start;
      do end = end === 0 ? first : end + block;
      while (end < view.length && blockIsZero(view, end, end + block) === zero);
      end = Math.min(end, view.length);
      const at = offset + BigInt(start);
      const put = zero ? this.zero(at, end - start) : this.#data(at, view.subarray(start, end));
      if (end === view.length) begun?.();
      await put;
      start = end;
    }
  }

  async #data(offset: bigint, bytes: Uint8Array): Promise<void> {
    const whole = bytes.length - this.#ragged(offset, bytes.length);
    for (let done = 0; done < whole; done += this.#longest) {
      const part = bytes.subarray(done, Math.min(whole, done + this.#longest));
      await this.#put(offset + BigInt(done), part);
    }
    if (whole < bytes.length) await this.#lastBlock(offset + BigInt(whole), bytes.subarray(whole));
  }

  /** Writes the beginning of a block and keeps the rest, as far as the device has one. */
  async #lastBlock(offset: bigint, bytes: Uint8Array): Promise<void> {
    const left = this.#device.size - offset;
    const length = left < BigInt(this.#minimum) ? Number(left) : this.#minimum;
    if (length === bytes.length) return this.#put(offset, bytes);
    const block = Buffer.alloc(length);
    if (!this.#isZero) await this.#read(offset, block);
    block.set(bytes);
    await this.#put(offset, block);
  }

  async #read(offset: bigint, block: Buffer): Promise<void> {
    try {
      const data = await this.#device.read(offset, block.length, this.#options);
      block.set(contiguous(data));
    } catch (error) {
      throw located('read from the destination', offset, error);
    }
  }

  async #put(offset: bigint, bytes: Uint8Array): Promise<void> {
    try {
      await this.#device.write!(offset, bytes, this.#options);
    } catch (error) {
      throw located('write', offset, error);
    }
  }

  /** Bytes of a range that are behind its last whole block. */
  #ragged(offset: bigint, length: number): number {
    if (this.#minimum === 1) return 0;
    return Number((offset + BigInt(length)) % BigInt(this.#minimum));
  }
}

function blockIsZero(view: Uint8Array, start: number, end: number): boolean {
  return view[start] === 0 && isZero(view.subarray(start, end));
}
