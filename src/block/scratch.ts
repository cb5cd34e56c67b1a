import { ending } from './answer.ts';

/** Memory for a moment, used again and again: fresh pages cost more than what is copied into them. */
export class Scratch {
  readonly #size: number;
  readonly #most: number;
  readonly #free: Buffer[] = [];

  /** @param size most bytes at once. @param most pieces of that size that are kept for later. */
  constructor(size: number, most: number) {
    this.#size = size;
    this.#most = most;
  }

  /** Acts with so many bytes, which are somebody else's when it has been answered or has failed. */
  with<T>(length: number, act: (memory: Buffer) => T | PromiseLike<T>): T | PromiseLike<T> {
    const piece = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
    return ending(
      () => act(piece.subarray(0, length)),
      () => {
        if (this.#free.length < this.#most) this.#free.push(piece);
      },
    );
  }
}
