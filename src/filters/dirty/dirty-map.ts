import type { BlockDevice, ExtentsOptions, StatusRun } from '../../block/device.ts';
import { BlockStates } from '../../stores/block-states.ts';

/** What is known of a block. */
const State = {
  clean: 0,
  /** It was written since the last backup began. */
  fresh: 1,
  /** It was written before, and that backup has not ended. */
  taken: 2,
} as const;

/** Larger disks have larger blocks: this many may take as many bytes of memory. */
const MOST_BLOCKS = 2n ** 28n;
/** Of one answer. */
const MOST_RUNS = 4096;
const END = Number.MAX_SAFE_INTEGER;

/** Which blocks of a disk a backup has to copy: at first all, as nothing is known of them. */
export class DirtyMap {
  readonly #block: bigint;
  /** Of those blocks that were written. */
  #states = new BlockStates();
  /** Of all others. */
  #others: number = State.fresh;
  #size: bigint | undefined;

  /** @param block a power of two, in bytes; those of the map are no smaller than the disk's. */
  constructor(block: bigint, { size, blockSize }: BlockDevice) {
    let own = BigInt(Math.max(Number(block), blockSize?.minimum ?? 1));
    while (own * MOST_BLOCKS < size) own *= 2n;
    this.#block = own;
  }

  /** A client has opened the disk. One that is longer or shorter now is as new. */
  opened(size: bigint): void {
    if (size !== this.#size) this.#others = State.fresh;
    this.#size = size;
  }

  /** A range was written, or may have been. */
  mark(offset: bigint, length: number): void {
    this.#states.set(Number(offset / this.#block), this.#endOf(offset, length), State.fresh);
  }

  /** A backup begins: it takes all that is dirty, also what one before took that did not end. */
  begin(): void {
    if (this.#others !== State.clean) this.#others = State.taken;
    this.#keep(isDirty, State.taken);
  }

  /** The backup is complete: what it took is clean, but for what was written meanwhile. */
  end(): void {
    if (this.#others === State.taken) this.#others = State.clean;
    this.#keep(state => state === State.fresh, State.fresh);
  }

  /** Runs of a range with the flag 1 where it is dirty, as a metadata context has them. */
  status(offset: bigint, length: number, { one = false }: ExtentsOptions = {}): StatusRun[] {
    const dirty = (state: number) => isDirty(state) || isDirty(this.#others);
    const end = this.#endOf(offset, length);
    const stop = offset + BigInt(length);
    const runs: StatusRun[] = [];
    for (let at = offset; at < stop && runs.length < (one ? 1 : MOST_RUNS); ) {
      const block = Number(at / this.#block);
      const is = dirty(this.#states.get(block));
      const next = BigInt(this.#states.find(block, end, state => dirty(state) !== is));
      const to = next * this.#block < stop ? next * this.#block : stop;
      runs.push({ length: Number(to - at), flags: Number(is) });
      at = to;
    }
    return runs;
  }

  /** Gives the wanted blocks one state, and forgets the others. */
  #keep(wanted: (state: number) => boolean, state: number): void {
    const kept = new BlockStates();
    const next = (from: number) => this.#states.find(from, END, wanted);
    for (let block = next(0); block < END; ) {
      const end = this.#states.runEnd(block, END);
      kept.set(block, end, state);
      block = next(end);
    }
    this.#states = kept;
  }

  #endOf(offset: bigint, length: number): number {
    return Number((offset + BigInt(length) + this.#block - 1n) / this.#block);
  }
}

const isDirty = (state: number) => state !== State.clean;
