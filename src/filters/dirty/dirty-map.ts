import type {
  BlockDevice,
  DeviceSource,
  ExtentsOptions,
  OpenRequest,
  StatusRun,
} from '../../block/device.ts';
import { PerExport } from '../../block/per-export.ts';
import { BlockStates } from '../../stores/block-states.ts';

/** What is known of a block. */
const State = {
  clean: 0,
  /** It was written since the last backup began. */
  fresh: 1,
  /** It was written before, and that backup has not ended. */
  taken: 2,
} as const;

/** What becomes of a state as something happens to all blocks. */
type Change = (state: number) => number;

/** A backup begins: it takes all that is dirty, also what one before took that did not end. */
const begin: Change = state => (state === State.clean ? State.clean : State.taken);
/** The backup is complete: what it took is clean, but for what was written meanwhile. */
const end: Change = state => (state === State.fresh ? State.fresh : State.clean);

/** Larger disks have larger blocks: this many may take as many bytes of memory. */
const MOST_BLOCKS = 2n ** 28n;
/** Of one answer. */
const MOST_RUNS = 4096;
const END = Number.MAX_SAFE_INTEGER;

/** Which blocks of each export a backup has to copy: at first all, as nothing is known of them. */
export class DirtyMaps {
  readonly #block: bigint;
  readonly #maps: PerExport<DirtyMap>;
  /** Of the blocks of exports that nobody has opened. */
  #unseen: number = State.fresh;

  /** @param block a power of two, in bytes; those of a map are no smaller than the disk's. */
  constructor(source: DeviceSource, block: bigint) {
    this.#maps = new PerExport(source);
    this.#block = block;
  }

  /** That of the disk that a client has opened. One that is longer or shorter now is as new. */
  async of(device: BlockDevice, request: OpenRequest): Promise<DirtyMap> {
    const map = await this.#maps.of(request, () => new DirtyMap(this.#block, device, this.#unseen));
    map.opened(device.size);
    return map;
  }

  begin(): void {
    this.#change(begin);
  }

  end(): void {
    this.#change(end);
  }

  #change(change: Change): void {
    this.#unseen = change(this.#unseen);
    for (const map of this.#maps.all()) map.change(change);
  }
}

/** The dirty blocks of a disk. */
export class DirtyMap {
  readonly #block: bigint;
  /** Of those blocks that were written. */
  #states = new BlockStates();
  /** Of all others. */
  #others: number;
  #size: bigint;

  constructor(block: bigint, { size, blockSize }: BlockDevice, others: number) {
    let own = BigInt(Math.max(Number(block), blockSize?.minimum ?? 1));
    while (own * MOST_BLOCKS < size) own *= 2n;
    this.#block = own;
    this.#others = others;
    this.#size = size;
  }

  opened(size: bigint): void {
    if (size !== this.#size) this.#others = State.fresh;
    this.#size = size;
  }

  change(change: Change): void {
    this.#others = change(this.#others);
    const states = new BlockStates();
    const next = (from: number) => this.#states.find(from, END, isDirty);
    for (let block = next(0); block < END; ) {
      const stop = this.#states.runEnd(block, END);
      const state = change(this.#states.get(block));
      if (isDirty(state)) states.set(block, stop, state);
      block = next(stop);
    }
    this.#states = states;
  }

  /** A range was written, or may have been. */
  mark(offset: bigint, length: number): void {
    this.#states.set(Number(offset / this.#block), this.#endOf(offset, length), State.fresh);
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

  #endOf(offset: bigint, length: number): number {
    return Number((offset + BigInt(length) + this.#block - 1n) / this.#block);
  }
}

const isDirty = (state: number) => state !== State.clean;
