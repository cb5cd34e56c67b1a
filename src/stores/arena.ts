import { discardPages, largePages } from '../posix/large-pages.ts';

/** Up to so many bytes, large pages are not worth the time to load what asks for them. */
const SMALL = 4 << 20;
/** Address space of one piece; only what is used takes memory. */
const PIECE = 64 << 20;

/**
 * Zeroed memory for pages or buffers, in large pages once it is much. No part is given out twice, so
 * that a view of a part that was released shows its bytes or zeroes, never those of another one.
 */
export class Arena {
  readonly #small: number;
  #given = 0;
  #piece: Buffer | undefined;
  #used = 0;
  readonly #pieces = new WeakSet<ArrayBufferLike>();

  /** @param small bytes that come in small pages, before the large ones. */
  constructor(small = SMALL) {
    this.#small = small;
  }

  /**
   * @param length a multiple of 4 KiB, at most 64 MiB.
   * @throws RangeError when there is no memory.
   */
  allocate(length: number): Buffer {
    this.#given += length;
    if (this.#given <= this.#small) return Buffer.alloc(length);
    if (!this.#piece || this.#used + length > PIECE) this.#begin();
    if (!this.#piece) return Buffer.alloc(length);
    const bytes = this.#piece.subarray(this.#used, this.#used + length);
    this.#used += length;
    return bytes;
  }

  /** A part of what was allocated is not needed any more. */
  release(bytes: Uint8Array): void {
    if (this.#pieces.has(bytes.buffer)) discardPages(bytes);
  }

  #begin(): void {
    this.#piece = largePages(PIECE);
    this.#used = 0;
    if (this.#piece) this.#pieces.add(this.#piece.buffer);
  }
}
