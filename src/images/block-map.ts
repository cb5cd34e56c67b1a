import { andThen } from '../block/answer.ts';
import { zeroRange } from '../block/emulate.ts';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import type { CheckReport } from './image.ts';
import type { ImageFile } from './image-file.ts';
import { Leaving, type ReadsUnderWay } from './reads-under-way.ts';
import type { Allocation, Mapping, Place, Run, RunKind } from './run.ts';
import { TableCache } from './table-cache.ts';

/** What a table says of a block. */
export interface BlockEntry {
  readonly kind: RunKind;
  /** Where its data is in the file, in bytes; 0: nowhere. */
  readonly at: number;
  /** Where a bit for each sector says whether that is here: in the file, in bytes; of kind data. */
  readonly bits?: number | undefined;
}

export interface BlockMapOptions {
  readonly file: ImageFile;
  /** Bytes of the disk. */
  readonly size: bigint;
  /** Bytes of a block, a power of two. */
  readonly block: number;
  /** Bytes of a table's entry. */
  readonly entryBytes: number;
  /** Bytes of a sector that has a bit of its own; 512 unless told. */
  readonly sector?: number | undefined;
  /** Bytes that are written together for the first time; a block unless told. */
  readonly unit?: number | undefined;
  /** Whether bits begin with the highest one of a byte. */
  readonly highestFirst?: boolean | undefined;
}

/** Bytes of tables in memory, and of a piece of them. */
const BUDGET = 16 << 20;
const SLICE = 4096;
/** Of bits: they lie between data, which is never a part of their pieces. */
const BITS_SLICE = 512;
/** Changed tables are written when there are so many bytes of them. */
const MOST_WAITING = 8 << 20;
/** Lines that are said of what is wrong with an image. */
const MOST_FINDINGS = 1000;

/**
 * The mapping of formats that have an entry for each block of the disk, and put new blocks at the end
 * of the file. A format says where entries are and what they mean.
 */
export abstract class BlockMap implements Mapping, Allocation {
  readonly size: bigint;
  readonly unit: number;
  readonly cluster: number;
  protected readonly file: ImageFile;
  protected readonly tables: TableCache;
  protected readonly bits: TableCache;
  readonly #entryBytes: number;
  readonly #sector: number;
  readonly #highestFirst: boolean;
  readonly #size: number;
  readonly reads: ReadsUnderWay;
  zeroUnit: Allocation['zeroUnit'];
  zero: Allocation['zero'];
  discard: Allocation['discard'];
  /** Places that no entry leads to as soon as all is written, later on, and now. */
  readonly #freed: number[] = [];
  readonly #leaving: Leaving<number>;
  protected readonly free: number[] = [];
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: BlockMapOptions) {
    const { file, size, block, entryBytes, sector = 512, unit = block } = options;
    this.file = file;
    this.reads = file.reads;
    this.#leaving = new Leaving(file.reads);
    this.size = size;
    this.cluster = block;
    this.unit = unit;
    this.#entryBytes = entryBytes;
    this.#sector = sector;
    this.#highestFirst = options.highestFirst ?? false;
    this.#size = Number(file.device.size);
    this.tables = new TableCache(file, SLICE, BUDGET);
    this.bits = new TableCache(file, BITS_SLICE, BUDGET);
  }

  /** Where the entry of a block is in the file; undefined: there is no table with it. */
  protected abstract entryAt(index: number): number | undefined;
  /** @throws BlockError EIO the entry makes no sense. */
  protected abstract parse(bytes: Buffer, at: number, index: number): BlockEntry;
  /** Says in an entry where the data of its block is. */
  protected abstract put(bytes: Buffer, at: number, place: number): void;
  /** Takes room for so many blocks in a row at most, behind the end of the file. */
  protected abstract take(most: number): { readonly at: number; readonly count: number };
  /** Where the entry is once more, for formats that keep tables twice. */
  protected secondEntryAt?(index: number): number | undefined;
  /** Before the data of a new block is written: what stands around it. */
  protected begin?(place: number): Promise<void>;
  /** What is written between the data and the tables that lead to it. */
  protected settle?(): Promise<void>;
  find(offset: bigint, length: number): Run | PromiseLike<Run> {
    const index = Number(offset / BigInt(this.cluster));
    const within = Number(offset % BigInt(this.cluster));
    const at = this.entryAt(index);
    if (at === undefined) return nothing(Math.min(length, this.cluster - within));
    const start = at - (at % SLICE);
    return andThen(this.tables.get(start), slice =>
      this.#runIn(slice, start, { index, at, within, length }),
    );
  }

  /** @throws BlockError EIO the data begins where there is no file. */
  #parsed(slice: Buffer, within: number, index: number): BlockEntry {
    const entry = this.parse(slice, within, index);
    const end = Math.max(this.#size, this.file.end);
    if (entry.at < end && (entry.bits ?? 0) < end) return entry;
    throw new BlockError(
      'EIO',
      `the image is damaged: a block lies beyond the file, at ${entry.at}`,
    );
  }

  /** The run from a place in a block on, as far as the slice tells. */
  #runIn(
    slice: Buffer,
    start: number,
    { index, at, within, length }: { index: number; at: number; within: number; length: number },
  ): Run | PromiseLike<Run> {
    const first = this.#parsed(slice, at - start, index);
    let done = this.cluster - within;
    if (first.bits !== undefined) {
      return this.#runOfBits(first.at, first.bits, within, Math.min(length, done));
    }
    for (let next = index + 1; done < length; next++) {
      const entryAt = this.entryAt(next);
      if (!this.#isIn(start, entryAt)) break;
      const entry = this.parse(slice, entryAt - start, next);
      if (entry.kind !== first.kind || entry.bits !== undefined) break;
      const follows = first.at + within + done;
      if (first.kind !== 'packed' && entry.at !== (first.at === 0 ? 0 : follows)) break;
      done += this.cluster;
    }
    const where = first.at === 0 ? undefined : first.at + within;
    return { kind: first.kind, length: Math.min(done, length), at: where };
  }

  /** The run of sectors with the same bit, as far as a piece of the bits tells. */
  #runOfBits(data: number, bits: number, within: number, most: number): Run | PromiseLike<Run> {
    const first = Math.floor(within / this.#sector);
    const at = bits + (first >> 3);
    const start = at - (at % BITS_SLICE);
    const end = Math.ceil((within + most) / this.#sector);
    // Sectors from the beginning of the block to the end of the piece.
    const told = Math.min(end, (start + BITS_SLICE - bits) * 8);
    return andThen(this.bits.get(start), slice => {
      const isHere = (sector: number) =>
        this.#bitIn(slice, bits + (sector >> 3) - start, sector & 7);
      const here = isHere(first);
      const same = here ? 0xff : 0;
      let next = first + 1;
      while (next < told) {
        if ((next & 7) === 0 && slice[bits + (next >> 3) - start] === same) next += 8;
        else if (isHere(next) === here) next += 1;
        else break;
      }
      const length = Math.min(most, Math.min(next, told) * this.#sector - within);
      return here ? { kind: 'data', length, at: data + within } : nothing(length);
    });
  }

  #bitIn(slice: Buffer, at: number, bit: number): boolean {
    return (slice[at]! & this.#maskOf(bit)) !== 0;
  }

  #maskOf(bit: number): number {
    return this.#highestFirst ? 0x80 >> bit : 1 << bit;
  }

  protected async entryOf(index: number): Promise<BlockEntry> {
    const at = this.entryAt(index);
    if (at === undefined) return { kind: 'absent', at: 0 };
    const slice = await this.tables.get(at - (at % SLICE));
    return this.#parsed(slice, at % SLICE, index);
  }

  async place(offset: bigint, length: number): Promise<Place> {
    if (this.tables.waiting + this.bits.waiting > MOST_WAITING) await this.flush();
    const index = Number(offset / BigInt(this.cluster));
    const within = Number(offset % BigInt(this.cluster));
    const room = Math.min(length, this.cluster - within);
    const entry = await this.entryOf(index);
    if (entry.at !== 0) return { at: entry.at + within, length: room, fresh: false };
    const wanted = this.#withoutRoom(index, Math.ceil((within + length) / this.cluster));
    const again = this.free.pop();
    const { at, count } = again === undefined ? this.take(wanted) : { at: again, count: 1 };
    await this.file.grow(at + count * this.cluster);
    const isFresh = again === undefined && this.file.growsAsZeroes;
    const isZeroed = !isFresh && (again !== undefined || this.unit < this.cluster);
    if (isZeroed) {
      await zeroRange(this.file.device, BigInt(at), count * this.cluster, { mayTrim: true });
    }
    const fresh = isFresh || isZeroed;
    await this.begin?.(at);
    return { at: at + within, length: Math.min(length, count * this.cluster - within), fresh };
  }

  /**
   * How many blocks in a row have no place, from one that has none on. It is known at once, so that
   * whoever asks first has room first.
   */
  #withoutRoom(index: number, most: number): number {
    const first = this.entryAt(index);
    if (first === undefined) return 1;
    const start = first - (first % SLICE);
    const slice = this.tables.peek(start);
    if (!slice) return 1;
    let count = 1;
    for (; count < most; count++) {
      const at = this.entryAt(index + count);
      if (!this.#isIn(start, at) || this.parse(slice, at - start, index + count).at !== 0) break;
    }
    return count;
  }

  /** Whether an entry is in the slice that begins there. */
  #isIn(start: number, at: number | undefined): at is number {
    return at !== undefined && at >= start && at + this.#entryBytes <= start + SLICE;
  }

  async commit(offset: bigint, { at, length }: Place): Promise<void> {
    const first = Number(offset / BigInt(this.cluster));
    const within = Number(offset % BigInt(this.cluster));
    const blocks = Math.ceil((within + length) / this.cluster);
    for (let count = 0; count < blocks; count++) {
      const entry = await this.entryOf(first + count);
      // A block that was there in parts may be there as a whole now.
      const isMore = entry.at === 0 || (entry.bits !== undefined && this.unit === this.cluster);
      if (isMore) await this.#lead(first + count, at - within + count * this.cluster);
    }
    if (this.unit < this.cluster) await this.#setBits(first, within, length);
  }

  async #lead(index: number, place: number): Promise<void> {
    await this.changeEntry(index, (slice, within) => this.put(slice, within, place));
  }

  protected async changeEntry(
    index: number,
    act: (slice: Buffer, within: number) => void,
  ): Promise<void> {
    const at = this.entryAt(index);
    if (at === undefined) throw new BlockError('EIO', 'the image has no table for this block');
    await this.change(at, act);
    const second = this.secondEntryAt?.(index);
    if (second !== undefined) await this.change(second, act);
  }

  /** Changes what is at a place in a table. */
  protected async change(at: number, act: (slice: Buffer, within: number) => void): Promise<void> {
    const within = at % SLICE;
    await this.tables.edit(at - within, within, this.#entryBytes, slice => act(slice, within));
  }

  /**
   * Sees to it that blocks which are zeroes take no room.
   * @param put says so in an entry; undefined: the format cannot, and only the file below gives room
   * back. @param backed something else shows where there is nothing.
   */
  protected knowsZero(
    put: ((slice: Buffer, within: number) => void) | undefined,
    backed = false,
  ): void {
    this.zeroUnit = this.cluster;
    const zero = async (index: number, mayTrim: boolean) => {
      const { kind, at, bits } = await this.entryOf(index);
      if (kind === 'zero' || (kind === 'absent' && !backed)) return;
      const stays = kind === 'data' && !mayTrim && (bits === undefined || !backed);
      if (stays || !put) await zeroRange(this.file.device, BigInt(at), this.cluster, { mayTrim });
      else {
        await this.changeEntry(index, put);
        if (kind === 'data') this.#freed.push(at);
      }
    };
    this.zero = async (offset, length, mayTrim) => {
      const first = Number(offset / BigInt(this.cluster));
      const count = Math.ceil(length / this.cluster);
      for (let index = first; index < first + count; index++) await zero(index, mayTrim);
    };
    this.discard = (offset, length) => this.zero!(offset, length, true);
  }

  /** Writes all that is in memory; the file ends before its last blocks if they are free. */
  async close(): Promise<void> {
    await this.flush();
    for (let last = this.#freeAtEnd(); last >= 0; last = this.#freeAtEnd()) {
      this.free.splice(last, 1);
      this.file.cut(this.file.end - this.cluster);
    }
    await this.file.trimEnd();
  }

  #freeAtEnd(): number {
    return this.free.indexOf(this.file.end - this.cluster);
  }

  async #setBits(index: number, within: number, length: number): Promise<void> {
    const { bits } = await this.entryOf(index);
    if (bits === undefined) return;
    const end = Math.ceil((within + length) / this.#sector);
    for (let sector = Math.floor(within / this.#sector); sector < end; ) {
      const at = bits + (sector >> 3);
      const start = at - (at % BITS_SLICE);
      const told = Math.min(end, (start + BITS_SLICE - bits) * 8);
      const slice = await this.bits.get(start);
      const isSet = (each: number) => this.#bitIn(slice, bits + (each >> 3) - start, each & 7);
      while (sector < told && isSet(sector)) sector++;
      if (sector === told) continue;
      await this.bits.edit(start, at - start, bits + ((told + 7) >> 3) - at, changed => {
        for (; sector < told; sector++) {
          changed[bits + (sector >> 3) - start]! |= this.#maskOf(sector & 7);
        }
      });
    }
  }

  /**
   * Looks at each entry: none leads beyond the file, and no two to the same place.
   * @param leaksIn of formats that count blocks: how many have room that nothing leads to; below 0:
   * how many lack it.
   */
  async check(leaksIn?: (allocated: number) => number): Promise<CheckReport> {
    const findings: string[] = [];
    let corruptions = 0;
    const found = (what: string) => {
      corruptions += 1;
      if (findings.length < MOST_FINDINGS) findings.push(`ERROR: ${what}`);
    };
    const places: number[] = [];
    const totalClusters = Math.ceil(Number(this.size) / this.cluster);
    for (let index = 0; index < totalClusters; index++) {
      try {
        const { at } = await this.entryOf(index);
        if (at !== 0) places.push(at);
      } catch (error) {
        if (errnoOf(error) !== 'EIO') throw error;
        found(`block ${index}: ${messageOf(error)}`);
      }
    }
    const sorted = Float64Array.from(places).sort();
    for (let index = 1; index < sorted.length; index++) {
      if (sorted[index] === sorted[index - 1]) found(`two blocks are at ${sorted[index]}`);
    }
    const leaks = leaksIn?.(places.length) ?? 0;
    const should = places.length + leaks;
    const mismatch = `allocated blocks mismatch, is ${places.length}, should be ${should}`;
    if (leaks < 0) found(mismatch);
    else if (leaks > 0) findings.push(`Leaked: ${mismatch}`);
    return {
      findings,
      corruptions,
      leaks: Math.max(0, leaks),
      corruptionsFixed: 0,
      leaksFixed: 0,
      errors: 0,
      ...(leaksIn && { totalClusters, allocatedClusters: places.length }),
    };
  }

  /** Data, what stands around it, and then the tables that lead to it. */
  flush(): Promise<void> {
    const next = this.#flushing.catch(() => {}).then(() => this.#writeAll());
    this.#flushing = next;
    return next;
  }

  /** What comes in between is for the next time: its data may not be there yet. */
  async #writeAll(): Promise<void> {
    const freed = this.#freed.splice(0);
    const [bits, tables] = [this.bits.take(), this.tables.take()];
    try {
      await this.settle?.();
      await this.file.flush();
      if (await bits.write()) await this.file.flush();
      if (await tables.write()) await this.file.flush();
      this.#leaving.add(freed.splice(0));
      await this.#release();
    } finally {
      bits.giveBack();
      tables.giveBack();
      this.#freed.push(...freed);
    }
  }

  /** What nobody reads any more is for others. */
  async #release(): Promise<void> {
    const { trim } = this.file.device;
    for (let at = this.#leaving.next(); at !== undefined; at = this.#leaving.next()) {
      await trim?.call(this.file.device, BigInt(at), this.cluster);
      this.free.push(at);
    }
  }
}

const nothing = (length: number): Run => ({ kind: 'absent', length });
