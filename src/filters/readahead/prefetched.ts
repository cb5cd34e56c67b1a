import { andThen, ending } from '../../block/answer.ts';
import type { Background } from '../../block/background.ts';
import { BlockCache, Budget } from '../../block/block-cache.ts';
import { viewsOf } from '../../block/data.ts';
import type { BlockDevice, Data, ReadOptions } from '../../block/device.ts';
import { readInto } from '../../block/read-into.ts';

/** Bytes that are read at once, ahead of the client. */
const BLOCK = 256 << 10;
/** How far ahead. */
const MOST_AHEAD = 4 << 20;
/** What one connection keeps. */
const MEMORY = 16 << 20;

/** What was read ahead of a client that reads one place after the other. */
export class Prefetched {
  readonly #below: BlockDevice;
  readonly #background: Background;
  readonly #blocks = new BlockCache<number, Buffer>(new Budget(MEMORY));
  #ahead = 0;
  #last = 0n;
  #end = 0n;

  /** @param below takes any whole blocks of 256 KiB. */
  constructor(below: BlockDevice, background: Background) {
    this.#below = below;
    this.#background = background;
  }

  /** Reads, and sees to it that what comes next will be there. */
  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const answer = this.#has(offset, length)
      ? this.#gather(offset, length, options)
      : this.#below.read(offset, length, options);
    this.#advance(offset, offset + BigInt(length));
    return answer;
  }

  /** Forgets a range before it changes, and what was read of it meanwhile. */
  changing<T>(offset: bigint, length: number, act: () => T | PromiseLike<T>): T | PromiseLike<T> {
    const first = Number(offset / BigInt(BLOCK));
    const last = Number((offset + BigInt(length) - 1n) / BigInt(BLOCK));
    const forget = () => {
      if (last - first > MEMORY / BLOCK) this.#blocks.clear();
      else for (let block = first; block <= last; block++) this.#blocks.delete(block);
    };
    forget();
    return ending(act, forget);
  }

  /** Further and further, for as long as the client goes forward. */
  #advance(offset: bigint, end: bigint): void {
    const goesOn = offset >= this.#last && offset <= this.#end + BigInt(this.#ahead);
    this.#ahead = goesOn ? Math.min(Math.max(BLOCK, this.#ahead * 2), MOST_AHEAD) : 0;
    this.#last = offset;
    this.#end = end;
    const { size } = this.#below;
    const until = end + BigInt(this.#ahead);
    const to = Number((until < size ? until : size) / BigInt(BLOCK));
    for (let block = Number(end / BigInt(BLOCK)); block < to; block++) {
      if (!this.#blocks.has(block)) this.#fetch(block);
    }
  }

  #fetch(block: number): void {
    this.#background.start(options =>
      this.#blocks.get(block, () => {
        const bytes = Buffer.allocUnsafeSlow(BLOCK);
        const read = readInto(this.#below, BigInt(block) * BigInt(BLOCK), bytes, options);
        return andThen(read, () => bytes);
      }),
    );
  }

  #has(offset: bigint, length: number): boolean {
    const last = Number((offset + BigInt(length) - 1n) / BigInt(BLOCK));
    for (let block = Number(offset / BigInt(BLOCK)); block <= last; block++) {
      if (!this.#blocks.has(block)) return false;
    }
    return true;
  }

  async #gather(offset: bigint, length: number, options?: ReadOptions): Promise<Data> {
    const views: Uint8Array[] = [];
    try {
      for (let done = 0; done < length; ) {
        const at = offset + BigInt(done);
        const start = Number(at % BigInt(BLOCK));
        const part = Math.min(BLOCK - start, length - done);
        const block = await this.#blocks.get(Number(at / BigInt(BLOCK)), gone, options);
        views.push(block.subarray(start, start + part));
        done += part;
      }
      return views;
    } catch {
      // It was given up, or failed, and whoever asks for it now is told by the device itself.
      options?.signal?.throwIfAborted();
      return viewsOf(await this.#below.read(offset, length, options));
    }
  }
}

function gone(): never {
  throw new Error('it has been forgotten meanwhile');
}
