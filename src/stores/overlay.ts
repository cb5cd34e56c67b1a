import { andThen } from '../block/answer.ts';
import { paddingDevice } from '../block/constant.ts';
import { viewsOf } from '../block/data.ts';
import type {
  BlockDevice,
  BlockSize,
  Data,
  Extent,
  ExtentsOptions,
  ReadOptions,
  RequestOptions,
  StatusRun,
} from '../block/device.ts';
import { ExtentList } from '../block/extents.ts';
import { inTurn, type Part, readParts } from '../block/parts.ts';
import { holding, RangeLock } from '../block/range-lock.ts';
import { readInto } from '../block/read-into.ts';
import { Scratch } from '../block/scratch.ts';
import { outward, type Segment, segmentsOf } from '../block/segments.ts';
import { BlockStates } from './block-states.ts';

/** What is known of a block. */
export const State = {
  /** It is in the disk below. */
  absent: 0,
  /** It reads as zeroes, whatever the disk below has. */
  zero: 1,
  /** A copy of what the disk below has. */
  clean: 2,
  /** It was written, and the disk below has something else. */
  dirty: 3,
} as const;

const isAbsent = (state: number) => state === State.absent;
const isChanged = (state: number) => state === State.zero || state === State.dirty;

const LONGEST = 2 ** 32 - 1;
/** Most bytes that are copied at once. */
const PIECE = 1 << 20;
/** Pieces of memory that are kept for copying. */
const SPARE = 4;

/** Blocks by their numbers: the first, and the one after the last. */
export interface BlockRange {
  readonly first: number;
  readonly end: number;
}

/** Writes a range to the disk below; without data, zeroes. */
export type WriteBelow = (
  offset: bigint,
  length: number,
  data?: Uint8Array,
) => void | PromiseLike<void>;

/** Where blocks are kept. */
interface Keeper {
  /** At the offsets that they have in the disk. */
  readonly blocks: BlockDevice;
  /** Keeps blocks and their states for another run. */
  save?(): Promise<void>;
}

/** Neighbouring blocks of one state, or those parts of them that lie in a range. */
export interface Run {
  readonly state: number;
  readonly offset: bigint;
  readonly length: number;
}

/**
 * Blocks of a disk that are kept elsewhere, over the disk itself, which each call names: several
 * connections with a disk of their own share one overlay. Ranges are in bytes.
 */
export class Overlay {
  readonly size: bigint;
  readonly block: number;
  readonly states: BlockStates;
  /** Whoever makes blocks absent or zero has them alone. */
  readonly locks = new RangeLock();
  readonly #keeper: Keeper;
  readonly #kept: BlockDevice;
  readonly #hole: BlockDevice;
  readonly #scratch: Scratch;

  /**
   * @param size of the disk, in bytes. @param block bytes; a power of two.
   * @param states those of blocks that are kept already.
   */
  constructor(keeper: Keeper, size: bigint, block: number, states = new BlockStates()) {
    this.#keeper = keeper;
    this.#kept = keeper.blocks;
    this.size = size;
    this.block = block;
    this.states = states;
    this.#hole = paddingDevice(size);
    this.#scratch = new Scratch(Math.max(block, PIECE), SPARE);
  }

  get blockSize(): BlockSize {
    return { minimum: 1, preferred: this.block, maximum: LONGEST };
  }

  /** What was written outlives the server once it is flushed. */
  get lasting(): boolean {
    return this.#keeper.save !== undefined;
  }

  /** Makes durable what is kept, where it is to outlive the server. */
  flush(): void | Promise<void> {
    return this.#keeper.save?.();
  }

  /** Saves what is to outlive the server. Nothing is called after it. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#kept.close?.();
    }
  }

  /** All blocks. */
  get all(): BlockRange {
    const block = BigInt(this.block);
    return { first: 0, end: Number((this.size + block - 1n) / block) };
  }

  /** Those in which a range lies. */
  blocksOf(offset: bigint, length: number): BlockRange {
    const block = BigInt(this.block);
    const end = (offset + BigInt(length) + block - 1n) / block;
    return { first: Number(offset / block), end: Number(end) };
  }

  /** The runs of a range, in order, as they are when each is asked for. */
  *runs(offset: bigint, length: number): Generator<Run> {
    const { first, end } = this.blocksOf(offset, length);
    const stop = offset + BigInt(length);
    let at = offset;
    for (let block = first; block < end; ) {
      const state = this.states.get(block);
      block = this.states.runEnd(block, end);
      const next = BigInt(block) * BigInt(this.block);
      const to = next < stop ? next : stop;
      yield { state, offset: at, length: Number(to - at) };
      at = to;
    }
  }

  read(below: BlockDevice, offset: bigint, length: number, options?: ReadOptions) {
    return readParts(this.#parts(below, offset, length), options);
  }

  #parts(below: BlockDevice, offset: bigint, length: number): Part[] {
    const parts: Part[] = [];
    for (const { state, offset: at, length: run } of this.runs(offset, length)) {
      const device = this.#deviceOf(state, below);
      const last = parts.at(-1);
      if (last?.device === device) parts[parts.length - 1] = { ...last, length: last.length + run };
      else parts.push({ device, offset: at, length: run });
    }
    return parts;
  }

  #deviceOf(state: number, below: BlockDevice): BlockDevice {
    return isAbsent(state) ? below : state === State.zero ? this.#hole : this.#kept;
  }

  /** Writes here. Blocks of which only a part is written are completed from the disk below. */
  write(
    below: BlockDevice,
    offset: bigint,
    data: Uint8Array,
    options?: RequestOptions,
  ): void | PromiseLike<void> {
    const { first, end } = this.blocksOf(offset, data.length);
    const shared = this.locks.shared(offset, data.length, options?.signal);
    const inPlace = holding(shared, () => {
      if (!this.#isComplete(offset, data.length)) return false;
      this.#soil(first, end);
      return andThen(this.#kept.write!(offset, data), () => {
        this.states.set(first, end, State.dirty);
        return true;
      });
    });
    return andThen(inPlace, done => {
      if (done) return;
      return this.#alone(offset, data.length, options, () =>
        this.#putAll(below, offset, data, State.dirty, options),
      );
    });
  }

  /**
   * Writes to the disk below by `through`, and then here. When either fails, nothing of the range is
   * kept here that was a copy; only the first is an error, as the disk below has all.
   */
  writeThrough(
    below: BlockDevice,
    offset: bigint,
    data: Uint8Array,
    through: () => void | PromiseLike<void>,
    options?: RequestOptions,
  ): void | PromiseLike<void> {
    const { start, span } = outward(offset, data.length, this.block, this.size);
    return this.#alone(offset, data.length, options, async () => {
      let written = false;
      try {
        await through();
        written = true;
        await this.#putAll(below, offset, data, State.clean, options);
      } catch (error) {
        await this.#forgetCopies(start, span);
        if (!written) throw error;
      }
    });
  }

  #putAll(
    below: BlockDevice,
    offset: bigint,
    data: Uint8Array,
    state: number,
    options?: RequestOptions,
  ): void | PromiseLike<void> {
    const segments = segmentsOf(offset, data.length, this.block, this.size);
    const put = (segment: Segment) => this.#put(below, segment, data, options);
    return andThen(inTurn(segments, put), () => {
      const { first, end } = this.blocksOf(offset, data.length);
      this.states.set(first, end, state);
    });
  }

  /** Copies that are written to are none any more, even if that fails. */
  #soil(first: number, end: number): void {
    const next = (from: number) => this.states.find(from, end, state => state === State.clean);
    for (let block = next(first); block < end; block = next(block)) {
      this.states.set(block, this.states.runEnd(block, end), State.dirty);
    }
  }

  /** Whether a write leaves no block with a part that is not here. */
  #isComplete(offset: bigint, length: number): boolean {
    return segmentsOf(offset, length, this.block, this.size).every(
      segment => segment.whole || this.#stateAt(segment.offset) >= State.clean,
    );
  }

  #stateAt(offset: bigint): number {
    return this.states.get(Number(offset / BigInt(this.block)));
  }

  #put(
    below: BlockDevice,
    { offset, length, at, whole }: Segment,
    data: Uint8Array,
    options?: RequestOptions,
  ): void | PromiseLike<void> {
    const bytes = data.subarray(at, at + length);
    if (whole) return this.#kept.write!(offset, bytes);
    const { start, span } = outward(offset, length, this.block, this.size);
    const source = this.#deviceOf(this.#stateAt(start), below);
    return this.#scratch.with(span, block =>
      andThen(readInto(source, start, block, options), () => {
        block.set(bytes, Number(offset - start));
        return this.#kept.write!(start, block);
      }),
    );
  }

  /** The range reads as zeroes afterwards. */
  zero(below: BlockDevice, offset: bigint, length: number, options?: RequestOptions) {
    return this.#alone(offset, length, options, async () => {
      for (const segment of segmentsOf(offset, length, this.block, this.size)) {
        const { first, end } = this.blocksOf(segment.offset, segment.length);
        if (segment.whole) await this.#forget(segment, State.zero);
        else if (this.#stateAt(segment.offset) !== State.zero) {
          await this.#put(below, { ...segment, at: 0 }, new Uint8Array(segment.length), options);
          this.states.set(first, end, State.dirty);
        }
      }
    });
  }

  /**
   * Changes the disk below by `through`. Copies of the range are not kept, nor, if it `discards` it,
   * what was changed of its whole blocks.
   */
  passThrough(
    offset: bigint,
    length: number,
    through: () => void | PromiseLike<void>,
    discards: boolean,
    options?: RequestOptions,
  ) {
    const { start, span } = outward(offset, length, this.block, this.size);
    return this.#alone(offset, length, options, async () => {
      try {
        await through();
        const whole = segmentsOf(offset, length, this.block, this.size).find(each => each.whole);
        if (discards && whole) await this.#forget(whole, State.absent);
      } finally {
        await this.#forgetCopies(start, span);
      }
    });
  }

  async #forgetCopies(offset: bigint, length: number): Promise<void> {
    for (const run of this.runs(offset, length)) {
      if (run.state === State.clean) await this.#forget(run, State.absent);
    }
  }

  /** From the first to the last block of a range that is kept: a file need not be as long as the disk. */
  #keptIn(offset: bigint, length: number): { start: bigint; end: bigint } | undefined {
    let kept: { start: bigint; end: bigint } | undefined;
    for (const { state, offset: start, length: run } of this.runs(offset, length)) {
      if (state < State.clean) continue;
      kept ??= { start, end: start };
      kept.end = start + BigInt(run);
    }
    return kept;
  }

  /** Of blocks that one has alone. */
  async #forget({ offset, length }: Pick<Run, 'offset' | 'length'>, state: number): Promise<void> {
    const { first, end } = this.blocksOf(offset, length);
    const kept = this.#keptIn(offset, length);
    this.states.set(first, end, state);
    // Another run would find its bytes gone.
    if (isAbsent(state)) await this.flush();
    if (kept) await this.#kept.trim?.(kept.start, Number(kept.end - kept.start));
  }

  /** Reads, while no block that is here goes. */
  readLocked(below: BlockDevice, offset: bigint, length: number, options?: ReadOptions) {
    return holding(this.locks.shared(offset, length, options?.signal), () =>
      this.read(below, offset, length, options),
    );
  }

  /** Reads, and keeps a copy of the blocks in which the range lies, if there is room for it. */
  readAndKeep(
    below: BlockDevice,
    offset: bigint,
    length: number,
    options?: ReadOptions,
  ): Data | PromiseLike<Data> {
    const { first, end } = this.blocksOf(offset, length);
    const read = () => this.readLocked(below, offset, length, options);
    if (this.states.find(first, end, isAbsent) === end) return read();
    // What cannot be read fails again then; what cannot be kept need not be.
    const fill = () => this.fill(below, offset, length, options).then(read, read);
    if (outward(offset, length, this.block, this.size).span > length) return fill();
    return this.#copy(below, offset, length, options).then(data => data ?? fill());
  }

  /** Reads whole blocks, and keeps them if none is here yet: nothing is read twice. */
  async #copy(
    below: BlockDevice,
    offset: bigint,
    length: number,
    options?: ReadOptions,
  ): Promise<Data | undefined> {
    const release = await this.locks.exclusive(offset, length, options?.signal);
    try {
      const [run, ...others] = this.runs(offset, length);
      if (others.length > 0 || !isAbsent(run!.state)) return undefined;
      const data = await below.read(offset, length, options);
      if (await this.#keeps(offset, data)) this.#set(run!, State.clean);
      return data;
    } finally {
      release();
    }
  }

  /** Whether there was room for a copy. */
  async #keeps(offset: bigint, data: Data): Promise<boolean> {
    let at = offset;
    try {
      for (const view of viewsOf(data)) {
        await this.#kept.write!(at, view);
        at += BigInt(view.length);
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Copies what is not here yet of the blocks in which the range lies. */
  async fill(below: BlockDevice, offset: bigint, length: number, options?: RequestOptions) {
    const range = this.blocksOf(offset, length);
    for await (const run of this.#pieces(range, isAbsent, options)) {
      await this.#scratch.with(run.length, async bytes => {
        await readInto(below, run.offset, bytes, options);
        await this.#kept.write!(run.offset, bytes);
      });
      this.#set(run, State.clean);
    }
  }

  /** Gives what was changed of some blocks to the disk below. What fails stays changed. */
  async writeBack(range: BlockRange, write: WriteBelow, options?: RequestOptions): Promise<void> {
    for await (const run of this.#pieces(range, isChanged, options)) {
      await this.#writeRun(run, write);
      this.#set(run, run.state === State.zero ? State.absent : State.clean);
    }
  }

  /** Keeps some blocks no longer, once the disk below has what was changed of them. */
  async evict(range: BlockRange, write: WriteBelow, options?: RequestOptions): Promise<void> {
    for await (const run of this.#pieces(range, state => !isAbsent(state), options)) {
      if (isChanged(run.state)) await this.#writeRun(run, write);
      await this.#forget(run, State.absent);
    }
  }

  #writeRun({ state, offset, length }: Run, write: WriteBelow): void | PromiseLike<void> {
    if (state === State.zero) return write(offset, length);
    return this.#scratch.with(length, bytes =>
      andThen(readInto(this.#kept, offset, bytes), () => write(offset, length, bytes)),
    );
  }

  /**
   * Runs of blocks, which one has alone for as long as they are looked at; not too long but for zeroes,
   * of which a vast disk may have that many.
   */
  async *#pieces(
    { first, end }: BlockRange,
    wanted: (state: number) => boolean,
    options?: RequestOptions,
  ): AsyncGenerator<Run> {
    const most = Math.max(1, PIECE / this.block);
    const next = (block: number) => this.states.find(block, end, wanted);
    for (let block = next(first); block < end; block = next(block)) {
      const start = BigInt(block) * BigInt(this.block);
      const isZero = this.states.get(block) === State.zero;
      block = isZero ? this.states.runEnd(block, end) : Math.min(end, block + most);
      const stop = BigInt(block) * BigInt(this.block);
      const span = Number((stop < this.size ? stop : this.size) - start);
      const release = await this.locks.exclusive(start, span, options?.signal);
      try {
        for (const run of this.runs(start, span)) if (wanted(run.state)) yield run;
      } finally {
        release();
      }
    }
  }

  #set(run: Run, state: number): void {
    const { first, end } = this.blocksOf(run.offset, run.length);
    this.states.set(first, end, state);
  }

  /** What the range is made of; what was written here is data. */
  async extents(
    below: BlockDevice,
    offset: bigint,
    length: number,
    options?: ExtentsOptions,
  ): Promise<Extent[]> {
    const list = new ExtentList();
    for (const run of this.runs(offset, length)) {
      if (run.state === State.zero) list.addHole(run.length);
      else if (run.state === State.dirty || !below.extents) list.addData(run.length);
      else {
        const runs = await below.extents(run.offset, run.length, options);
        if (!list.addRuns(runs, run.length)) break;
      }
      if (options?.one && list.extents.length > 1) break;
    }
    return list.extents;
  }

  /** Runs with the flag 1 where the disk below has something else. */
  changes(offset: bigint, length: number): StatusRun[] {
    const status: { length: number; flags: number }[] = [];
    for (const run of this.runs(offset, length)) {
      const flags = isChanged(run.state) ? 1 : 0;
      const last = status.at(-1);
      if (last?.flags === flags) last.length += run.length;
      else status.push({ length: run.length, flags });
    }
    return status;
  }

  #alone(
    offset: bigint,
    length: number,
    options: RequestOptions | undefined,
    act: () => void | PromiseLike<void>,
  ): void | PromiseLike<void> {
    const { start, span } = outward(offset, length, this.block, this.size);
    return holding(this.locks.exclusive(start, span, options?.signal), act);
  }
}
