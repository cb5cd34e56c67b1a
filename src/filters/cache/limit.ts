import { messageOf } from '../../block/errors.ts';
import type { BlockRange, Overlay, WriteBelow } from '../../stores/overlay.ts';

/** How much a cache keeps, in bytes. */
export interface Bounds {
  /** From more than this on, blocks go. */
  readonly high: number;
  /** Until there is no more than this. */
  readonly low: number;
}

/** Keeps a cache within bounds: the least recently used blocks go first. */
export class Limit {
  readonly #overlay: Overlay;
  readonly #bounds: Bounds;
  readonly #warn: (message: string) => void;
  /** Blocks that are kept, the least recently used first. */
  readonly #blocks = new Set<number>();
  #shrinking: Promise<void> | undefined;

  /** @param warn is told of blocks that have to be kept, as the disk below does not take them. */
  constructor(overlay: Overlay, bounds: Bounds, warn: (message: string) => void) {
    this.#overlay = overlay;
    this.#bounds = bounds;
    this.#warn = warn;
    for (let block = this.#next(0); block < overlay.all.end; block = this.#next(block + 1)) {
      this.#blocks.add(block);
    }
  }

  #next(block: number): number {
    return this.#overlay.states.find(block, this.#overlay.all.end, state => state !== 0);
  }

  /** Some blocks were used; those of them that are kept are the most recently used now. */
  used({ first, end }: BlockRange): void {
    for (let block = first; block < end; block++) {
      this.#blocks.delete(block);
      if (this.#overlay.states.get(block) !== 0) this.#blocks.add(block);
    }
  }

  /** Lets blocks go if there are too many. */
  async keep(write: WriteBelow): Promise<void> {
    if (this.#bytes <= this.#bounds.high) return;
    this.#shrinking ??= this.#shrink(write).finally(() => {
      this.#shrinking = undefined;
    });
    await this.#shrinking;
  }

  get #bytes(): number {
    return this.#blocks.size * this.#overlay.block;
  }

  async #shrink(write: WriteBelow): Promise<void> {
    for (const block of [...this.#blocks]) {
      if (this.#bytes <= this.#bounds.low) return;
      try {
        await this.#overlay.evict({ first: block, end: block + 1 }, write);
        this.#blocks.delete(block);
      } catch (error) {
        this.#warn(`more is kept than cache-max-size: ${messageOf(error)}`);
        return;
      }
    }
  }
}
