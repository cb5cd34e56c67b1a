import type { Memory } from '../block/device.ts';
import { Arena } from '../stores/arena.ts';

/** Buffers of a short copy, which is not worth the time to load what asks for large pages. */
const SHORT = 1 << 20;
/** Buffers are whole pages. */
const PAGE = 4096;

/** Memory for answers: it is taken when they come, so that few buffers serve many requests. */
export class BufferPool {
  readonly #size: number;
  readonly #arena = new Arena(SHORT);
  readonly #spare: Buffer[] = [];

  /** @param size of a buffer, in bytes. */
  constructor(size: number) {
    this.#size = Math.ceil(size / PAGE) * PAGE;
  }

  /** Memory for the reads of one chunk at a time, which ends with `done`. */
  loan(): { readonly memory: Memory; done(): void } {
    let buffer: Buffer | undefined;
    let used = 0;
    return {
      memory: length => {
        buffer ??= this.#spare.pop() ?? this.#arena.allocate(this.#size);
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
