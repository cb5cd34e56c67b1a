import type { Memory } from '../block/device.ts';
import { giveBuffer, takeBuffer } from '../transport/buffers.ts';

/** Bytes that answers are read into, one after the other; longer ones get memory of their own. */
const SLAB = 1 << 20;

/** The memory that the payloads of one connection take. */
export class Payloads {
  /** Bytes of payloads on their way in, being written or being read. */
  held = 0;
  #slab: Buffer | undefined;
  #used = 0;
  /** Slabs that are full of answers under way. */
  readonly #full: Buffer[] = [];

  /** Memory for the payload of a write. @throws BlockError ENOMEM */
  take(length: number): Buffer {
    const payload = takeBuffer(length);
    this.held += length;
    return payload;
  }

  /** Gives back what `take` gave. */
  give(payload: Buffer): void {
    this.held -= payload.length;
    giveBuffer(payload);
  }

  /** Lends memory to devices for the answers to reads. */
  readonly lend: Memory = length => {
    if (length > SLAB) return takeBuffer(length);
    if (this.#slab && this.#used + length > SLAB) {
      this.#full.push(this.#slab);
      this.#slab = undefined;
    }
    if (this.#slab === undefined) {
      this.#slab = takeBuffer(SLAB);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used = (at + length + 7) & ~7;
    return this.#slab.subarray(at, at + length);
  };

  /** No answer that was read into lent memory is under way any more. */
  reclaim(): void {
    if (this.#slab === undefined) return;
    giveBuffer(this.#slab);
    this.#slab = undefined;
    if (this.#full.length > 0) this.#full.splice(0).forEach(giveBuffer);
  }
}
