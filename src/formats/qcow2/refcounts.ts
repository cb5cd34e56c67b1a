import { andThen } from '../../block/answer.ts';
import { BlockError } from '../../block/errors.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { TableCache } from '../../images/table-cache.ts';
import { readCount, writeCount } from './counts.ts';
import type { Header } from './header.ts';
import { offsetsOf } from './offsets.ts';

/** Bytes of blocks that are kept in memory. */
const BUDGET = 4 << 20;
const MOST_SLICE = 64 << 10;
const MOST_TABLE = 8 << 20;

/** Clusters that lie side by side, by the number of the first one. */
export interface Taken {
  readonly first: number;
  readonly count: number;
}

/** Which clusters of the file are in use, and how often: the reference counts. */
export class Refcounts {
  readonly #file: ImageFile;
  readonly #header: Header;
  readonly #clusterSize: number;
  readonly #blocks: TableCache;
  /** Counters of a block, and of a slice of one. */
  readonly perBlock: number;
  readonly #perSlice: number;
  /** The most that a counter can hold. */
  readonly max: number;
  /** Where the blocks are, 0 where there is none. */
  table: Float64Array;
  /** The same as a set. */
  blocksAt: Set<number>;
  /** Looks at clusters that are about to be given out. @throws BlockError they cannot be free. */
  verify?: (first: number, count: number) => void;
  /** A cluster of compressed bytes that has room for more, until it is free. */
  partial: number | undefined;
  /** No cluster before this one is free. */
  #cursor = 0;
  #busy: Promise<unknown> | undefined;

  static maxOf(order: number): number {
    return order === 6 ? Number.MAX_SAFE_INTEGER : 2 ** (2 ** order) - 1;
  }

  static async open(file: ImageFile, header: Header): Promise<Refcounts> {
    const bytes = header.refcountClusters * 2 ** header.clusterBits;
    return new Refcounts(file, header, offsetsOf(await file.bytes(header.refcountOffset, bytes)));
  }

  constructor(file: ImageFile, header: Header, table: Float64Array) {
    this.#file = file;
    this.#header = header;
    this.table = table;
    this.blocksAt = new Set(table);
    this.#clusterSize = 2 ** header.clusterBits;
    const slice = Math.min(this.#clusterSize, MOST_SLICE);
    this.#blocks = new TableCache(file, slice, BUDGET);
    const bits = 2 ** header.refcountOrder;
    this.perBlock = (this.#clusterSize * 8) / bits;
    this.#perSlice = (slice * 8) / bits;
    this.max = Refcounts.maxOf(header.refcountOrder);
  }

  /** How often a cluster is referred to. @param index of the cluster in the file. */
  get(index: number): number | PromiseLike<number> {
    const at = this.#sliceOf(index);
    if (at === 0) return 0;
    return andThen(this.#blocks.peek(at) ?? this.#blocks.get(at), slice =>
      readCount(slice, index % this.#perSlice, this.#header.refcountOrder),
    );
  }

  /**
   * One reference more, or one less, to a cluster that is in use.
   * @throws BlockError EIO there is none; ENOSPC too many.
   */
  async change(index: number, by: 1 | -1): Promise<void> {
    await this.#edit(index, count => {
      if (count === 0) throw this.#damaged(index);
      if (count + by <= this.max) return count + by;
      throw new BlockError('ENOSPC', `the image can count no more than ${this.max} references`);
    });
  }

  /**
   * One reference more to the partial cluster.
   * @returns false where it is another one, or full of references.
   */
  async share(index: number): Promise<boolean> {
    let shared = false;
    await this.#edit(index, count => {
      shared = this.partial === index && count < this.max;
      return shared ? count + 1 : count;
    });
    return shared;
  }

  /** Gives a counter a new value, which follows from the one that it has then. */
  async #edit(index: number, change: (count: number) => number): Promise<void> {
    const at = this.#sliceOf(index);
    if (at === 0) throw this.#damaged(index);
    const place = index % this.#perSlice;
    const order = this.#header.refcountOrder;
    await this.#blocks.edit(at, ...this.#bytesOf(place, 1), bytes => {
      const count = change(readCount(bytes, place, order));
      writeCount(bytes, place, order, count);
      if (count > 0) return;
      this.#cursor = Math.min(this.#cursor, index);
      if (this.partial === index) this.partial = undefined;
    });
  }

  #damaged(index: number): BlockError {
    return new BlockError('EIO', `cluster ${index} is in use and has no reference count`);
  }

  /** Takes free clusters. @param most of them; there may be fewer. @throws BlockError ENOSPC */
  allocate(most: number): Taken | Promise<Taken> {
    if (this.#busy) return this.#busy.then(() => this.allocate(most));
    const taken = this.#take(most);
    if (typeof taken === 'object') return taken;
    return this.#alone(() => this.#prepare(taken)).then(() => this.allocate(most));
  }

  /** Takes so many clusters in one row, behind all that is in use. @returns the first. */
  allocateRow(count: number): Promise<number> {
    return this.#alone(async () => {
      for (;;) {
        const first = Math.ceil(this.#file.end / this.#clusterSize);
        await this.#prepareAll(first, count);
        // A new block of counters is in the way of the row.
        if (first * this.#clusterSize < this.#file.end) continue;
        this.verify?.(first, count);
        await this.#file.grow((first + count) * this.#clusterSize);
        for (let index = first; index < first + count; index++) await this.put(index, 1);
        return first;
      }
    });
  }

  /** Nobody else allocates meanwhile. */
  #alone<T>(act: () => Promise<T>): Promise<T> {
    const done = (this.#busy ?? Promise.resolve()).then(act);
    const busy = done.then(
      () => {},
      () => {},
    );
    this.#busy = busy;
    void busy.then(() => {
      if (this.#busy === busy) this.#busy = undefined;
    });
    return done;
  }

  /** @returns what was taken, or the first cluster whose counter is not in memory. */
  #take(most: number): Taken | number {
    const order = this.#header.refcountOrder;
    for (;;) {
      const at = this.#sliceOf(this.#cursor);
      const slice = at === 0 ? undefined : this.#blocks.peek(at);
      if (!slice) return this.#cursor;
      const begin = this.#cursor - (this.#cursor % this.#perSlice);
      let place = this.#cursor - begin;
      while (place < this.#perSlice && readCount(slice, place, order) !== 0) place++;
      this.#cursor = begin + place;
      if (place === this.#perSlice) continue;
      const limit = Math.min(this.#perSlice, place + most);
      let end = place + 1;
      while (end < limit && readCount(slice, end, order) === 0) end++;
      this.verify?.(begin + place, end - place);
      void this.#blocks.edit(at, ...this.#bytesOf(place, end - place), bytes => {
        for (let each = place; each < end; each++) writeCount(bytes, each, order, 1);
      });
      this.#cursor = begin + end;
      this.#file.end = Math.max(this.#file.end, this.#cursor * this.#clusterSize);
      return { first: begin + place, count: end - place };
    }
  }

  /** The bytes of a slice that have so many counters. */
  #bytesOf(place: number, count: number): [from: number, length: number] {
    const bits = 2 ** this.#header.refcountOrder;
    const from = Math.floor((place * bits) / 8);
    return [from, Math.ceil(((place + count) * bits) / 8) - from];
  }

  /** Where in the file the slice is that has the counter of a cluster; 0: nowhere. */
  #sliceOf(index: number): number {
    const block = this.table[Math.floor(index / this.perBlock)] ?? 0;
    if (block === 0) return 0;
    return block + Math.floor((index % this.perBlock) / this.#perSlice) * this.#blocks.slice;
  }

  /** Sets a counter that there is to what it should be. */
  put(index: number, count: number): Promise<void> {
    return this.#edit(index, () => count);
  }

  /** Sees to it that there are counters for a range of clusters. */
  async #prepareAll(first: number, count: number): Promise<void> {
    const step = (index: number) => index - (index % this.perBlock) + this.perBlock;
    for (let index = first; index < first + count; index = step(index)) await this.#prepare(index);
  }

  /** Sees to it that the counter of a cluster is there, and in memory. */
  async #prepare(index: number): Promise<void> {
    const at = this.#sliceOf(index);
    if (at !== 0) await this.#blocks.get(at);
    else await this.#addBlock(index);
  }

  /** A block of counters for a cluster that nothing counts yet: it is put there, and counts itself. */
  async #addBlock(index: number): Promise<void> {
    const number = Math.floor(index / this.perBlock);
    if (number >= this.table.length) {
      await this.#growTable(number + 1);
      if (this.table[number] !== 0) return;
    }
    this.verify?.(index, 1);
    const at = index * this.#clusterSize;
    await this.#file.grow(at + this.#clusterSize);
    const bytes = Buffer.alloc(this.#clusterSize);
    writeCount(bytes, index % this.perBlock, this.#header.refcountOrder, 1);
    this.#blocks.create(at, bytes);
    await this.writeBlocks();
    await this.#file.flush();
    const entry = Buffer.alloc(8);
    entry.writeBigUInt64BE(BigInt(at));
    await this.#file.write(BigInt(this.#header.refcountOffset + number * 8), entry);
    this.table[number] = at;
    this.blocksAt.add(at);
  }

  /**
   * A larger table behind all that is in use, with the blocks that count it; the header is led there
   * at one stroke, and then the old one is free.
   */
  async #growTable(entries: number): Promise<void> {
    const { refcountOffset: before, refcountClusters: clusters } = this.#header;
    const size = this.#clusterSize;
    const wanted = Math.max(entries, Math.ceil(this.table.length * 1.5)) * 8;
    const bytes = Math.min(MOST_TABLE, Math.ceil(wanted / size) * size);
    if (entries * 8 > bytes) throw new BlockError('ENOSPC', 'the image is as large as it can be');
    const first = Math.ceil(this.#file.end / size);
    const table = new Float64Array(bytes / 8);
    table.set(this.table);
    let end = first + bytes / size;
    const added: number[] = [];
    for (let number = Math.floor(first / this.perBlock); number * this.perBlock < end; number++) {
      if (table[number] !== 0) continue;
      table[number] = end * size;
      added.push(end * size);
      end += 1;
    }
    await this.#file.grow(end * size);
    for (const at of added) this.#blocks.create(at, Buffer.alloc(size));
    this.table = table;
    this.blocksAt = new Set(table);
    for (let index = first; index < end; index++) await this.put(index, 1);
    await this.writeBlocks();
    await this.#file.write(BigInt(first * size), bytesOfTable(table));
    await this.#file.flush();
    const field = Buffer.alloc(12);
    field.writeBigUInt64BE(BigInt(first * size), 0);
    field.writeUInt32BE(bytes / size, 8);
    await this.#file.write(48n, field);
    await this.#file.flush();
    this.#header.refcountOffset = first * size;
    this.#header.refcountClusters = bytes / size;
    for (let index = 0; index < clusters; index++) await this.change(before / size + index, -1);
  }

  /** Writes what was changed. @returns whether there was anything. */
  writeBlocks(): Promise<boolean> {
    return this.#blocks.write();
  }
}

function bytesOfTable(table: Float64Array): Buffer {
  const bytes = Buffer.alloc(table.length * 8);
  for (const [index, at] of table.entries()) bytes.writeBigUInt64BE(BigInt(at), index * 8);
  return bytes;
}
