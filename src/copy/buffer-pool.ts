import type { Memory } from '../block/device.ts';
import { Arena } from '../stores/arena.ts';

/** Buffers of a short copy, which is not worth the time to load what asks for large pages. */
const SHORT = 1 << 20;
/** Buffers are whole pages. */
const PAGE = 4096;

/** Memory for answers: it is taken when they come, so that few buffers serve many requests. */
export class BufferPool {
  readonly #size: number;
  readonly #take: (length: number) => Buffer | undefined;
  readonly #arena = new Arena(SHORT);
  readonly #spare: Buffer[] = [];

  /**
   * @param size of a buffer, in bytes.
   * @param take gives memory that is better than any other, while it has some.
   */
  constructor(size: number, take: (length: number) => Buffer | undefined = () => undefined) {
    this.#size = Math.ceil(size / PAGE) * PAGE;
    this.#take = take;
  }

  /** Memory for the reads of one chunk at a time, which ends with `done`. */
  loan(): { readonly memory: Memory; done(): void } {
    let buffer: Buffer | undefined;
    let used = 0;
    return {
      memory: length => {
        buffer ??= this.#spare.pop() ?? this.#take(this.#size) ?? this.#arena.allocate(this.#size);
        used += length;
        return buffer.subarray(used - length, used);
      },
      done: () => {
        if (buffer) this.#spare.push(buffer);
        buffer = undefined;
        used = 0;
      },
    };
  }
}
