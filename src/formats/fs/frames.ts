import { andThen } from '../../block/answer.ts';
import { BlockCache, Budget } from '../../block/block-cache.ts';
import type { RequestOptions } from '../../block/device.ts';

/** A block, and the memory that it is in. */
interface Frame {
  readonly byteLength: number;
  readonly memory: Buffer;
  /** Bytes of it that are the block's. */
  readonly length: number;
}

/** Fills memory with a block. @returns its length in bytes. */
export type MakeBlock = (memory: Buffer, options: RequestOptions) => number | PromiseLike<number>;

/**
 * Blocks that it takes time to make, kept in memory that is used again and again: fresh memory for
 * each costs more than to copy what is asked for out of it.
 */
export class Frames<K> {
  readonly #size: number;
  readonly #spare: Buffer[] = [];
  readonly #cache: BlockCache<K, Frame>;

  /** @param size bytes of the largest block. @param kept bytes of memory at most. */
  constructor(size: number, kept: number) {
    this.#size = size;
    this.#cache = new BlockCache(new Budget(kept), ({ memory }) => this.#spare.push(memory));
  }

  /**
   * Copies what a block has from `start` on.
   * @returns the bytes that were copied: fewer than the target has where the block ends.
   */
  copy(
    key: K,
    start: number,
    target: Uint8Array,
    make: MakeBlock,
    options?: RequestOptions,
  ): number | PromiseLike<number> {
    const found = this.#cache.get(key, asked => this.#make(make, asked), options);
    return andThen(found, frame => {
      // Who had to wait may come too late, when the memory is already another block's.
      if (this.#cache.peek(key) !== frame) return this.copy(key, start, target, make, options);
      const { memory, length } = frame;
      return memory.copy(target, 0, start, Math.min(length, start + target.length));
    });
  }

  #make(make: MakeBlock, options: RequestOptions): Frame | PromiseLike<Frame> {
    const memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#size);
    const { length: byteLength } = memory;
    return andThen(make(memory, options), length => ({ byteLength, memory, length }));
  }
}
