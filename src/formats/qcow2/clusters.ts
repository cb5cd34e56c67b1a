import { andThen } from '../../block/answer.ts';
import { BlockError } from '../../block/errors.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { Leaving, type ReadsUnderWay } from '../../images/reads-under-way.ts';
import type { Allocation, Mapping, Place, Run } from '../../images/run.ts';
import { TableCache } from '../../images/table-cache.ts';
import { Entries, type Entry } from './entries.ts';
import type { Header } from './header.ts';
import type { L1 } from './l1.ts';
import { type PackedPlace, packedAt, packedEntry } from './packed.ts';
import type { Refcounts } from './refcounts.ts';

/** Bytes of L2 tables in memory: enough for 256 GiB of clusters of 64 KiB. */
const BUDGET = 32 << 20;
/** Changed tables are written when there are so many bytes of them. */
const MOST_WAITING = 16 << 20;
const MOST_SLICE = 64 << 10;

export interface ClustersOptions {
  readonly file: ImageFile;
  readonly header: Header;
  readonly l1: L1;
  /** Absent: for reading only. */
  readonly refcounts?: Refcounts | undefined;
  /** Something shows where the image has nothing. */
  readonly backed: boolean;
  /** Data is in a file of its own, at the offsets of the disk. */
  readonly dataFile?: ImageFile | undefined;
}

/** Where the clusters of a disk are in the file of a qcow2 image. */
export class Clusters implements Mapping, Allocation {
  l1: L1;
  readonly unit: number;
  readonly cluster: number;
  readonly entries: Entries;
  /** Version 2 cannot say it. */
  readonly zero: Allocation['zero'];
  /** Is told of compressed bytes that nothing leads to any more. */
  packedGone?: (place: PackedPlace) => void;
  readonly #file: ImageFile;
  readonly #header: Header;
  /** Absent: for reading only. */
  refcounts: Refcounts | undefined;
  /** Something shows where the image has nothing. */
  readonly backed: boolean;
  readonly #dataFile: ImageFile | undefined;
  readonly tables: TableCache;
  readonly #perSlice: number;
  readonly reads: ReadsUnderWay;
  /** Clusters that nothing refers to as soon as all is written. */
  readonly #freed: number[] = [];
  readonly #leaving: Leaving<number>;
  #flushing: Promise<void> | undefined;
  #nextFlush: Promise<void> | undefined;

  constructor({ file, header, l1, refcounts, backed, dataFile }: ClustersOptions) {
    this.#file = file;
    this.reads = file.reads;
    this.#leaving = new Leaving(file.reads);
    this.#header = header;
    this.refcounts = refcounts;
    this.backed = backed;
    this.#dataFile = dataFile;
    this.l1 = l1;
    this.entries = new Entries(header);
    this.cluster = this.entries.clusterSize;
    this.unit = this.entries.partSize;
    const slice = Math.min(this.cluster, MOST_SLICE);
    this.tables = new TableCache(file, slice, BUDGET);
    this.zero = this.entries.knowsZero ? (...request) => this.#zero(...request) : undefined;
    this.#perSlice = slice / this.entries.bytes;
  }

  get size(): bigint {
    return this.#header.size;
  }

  find(offset: bigint, length: number): Run | PromiseLike<Run> {
    const index = Number(offset >> this.entries.clusterBits);
    const within = Number(offset & BigInt(this.cluster - 1));
    const table = Math.floor(index / this.entries.perTable);
    const start = this.l1.offsets[table] ?? 0;
    if (start === 0) {
      const left =
        (this.entries.perTable - (index % this.entries.perTable)) * this.cluster - within;
      return { kind: 'absent', length: Math.min(length, left) };
    }
    if (start % this.cluster !== 0 || start > Number.MAX_SAFE_INTEGER)
      throw unaligned(start, table);
    const shared = this.l1.own[table] === 0;
    return andThen(this.#slice(start, index), slice =>
      this.#runIn(slice, index % this.#perSlice, within, length, shared),
    );
  }

  #slice(table: number, index: number): Buffer | PromiseLike<Buffer> {
    return this.tables.get(this.#sliceStart(table, index));
  }

  #sliceStart(table: number, index: number): number {
    const within = index % this.entries.perTable;
    return table + Math.floor(within / this.#perSlice) * this.tables.slice;
  }

  /** Where the compressed cluster is that has an offset of the disk. */
  packedPlace(offset: bigint): PackedPlace | PromiseLike<PackedPlace> {
    const index = Number(offset >> this.entries.clusterBits);
    const start = this.l1.offsets[Math.floor(index / this.entries.perTable)]!;
    return andThen(this.#slice(start, index), slice =>
      packedAt(slice, (index % this.#perSlice) * this.entries.bytes, this.#header.clusterBits),
    );
  }

  /** The run from a place in the cluster of an entry on, as far as the slice tells. */
  #runIn(slice: Buffer, place: number, within: number, length: number, shared: boolean): Run {
    const { partSize, parts, bytes } = this.entries;
    let part = Math.floor(within / partSize);
    const first = this.entries.read(slice, place * bytes, part);
    this.#check(first);
    let done = (part + 1) * partSize - within;
    const at = first.offset === 0 && first.kind !== 'data' ? undefined : first.offset + within;
    for (let each = place; done < length; ) {
      part += 1;
      if (part === parts) {
        part = 0;
        each += 1;
        if (each === this.#perSlice) break;
      }
      const next = this.entries.read(slice, each * bytes, part);
      if (next.kind !== first.kind || next.own !== first.own) break;
      const expected = at === undefined ? 0 : at + done - part * partSize;
      if (next.offset !== expected) break;
      done += partSize;
    }
    const isShared = shared || (!first.own && first.offset !== 0) || !this.refcounts;
    return { kind: first.kind, length: Math.min(done, length), at, shared: isShared };
  }

  #check({ kind, offset }: Entry): void {
    if (kind === 'packed' || (offset % this.cluster === 0 && offset <= Number.MAX_SAFE_INTEGER))
      return;
    const where = `0x${offset.toString(16)}`;
    throw new BlockError(
      'EIO',
      `the image is corrupt: cluster allocation at ${where} is unaligned`,
    );
  }

  async place(offset: bigint, length: number): Promise<Place> {
    if (this.tables.waiting > MOST_WAITING) await this.#settle();
    const index = Number(offset >> this.entries.clusterBits);
    const within = Number(offset & BigInt(this.cluster - 1));
    const table = await this.#ownTable(Math.floor(index / this.entries.perTable));
    if (this.#dataFile) return { at: Number(offset), length, fresh: false };
    const slice = await this.#slice(table, index);
    const place = index % this.#perSlice;
    const entry = this.entries.read(slice, place * this.entries.bytes, 0);
    if (hasRoom(entry)) {
      return {
        at: entry.offset + within,
        length: Math.min(length, this.cluster - within),
        fresh: false,
      };
    }
    const wanted = this.#withoutRoom(slice, place, Math.ceil((within + length) / this.cluster));
    const before = this.#file.end;
    const { first, count } = await this.refcounts!.allocate(wanted);
    const at = first * this.cluster;
    await this.#file.grow(at + count * this.cluster);
    const fresh = at >= before && this.#file.growsAsZeroes && this.#header.crypt === 0;
    return { at: at + within, length: Math.min(length, count * this.cluster - within), fresh };
  }

  /** How many entries in a row have no room of their own, from one that has none on. */
  #withoutRoom(slice: Buffer, place: number, most: number): number {
    const end = Math.min(place + most, this.#perSlice);
    let next = place + 1;
    while (next < end && !hasRoom(this.entries.read(slice, next * this.entries.bytes, 0))) next++;
    return next - place;
  }

  abandon({ at, length }: Place): void {
    if (this.#dataFile) return;
    const end = Math.ceil((at + length) / this.cluster);
    for (let index = Math.floor(at / this.cluster); index < end; index++) this.#freed.push(index);
  }

  async commit(offset: bigint, place: Place): Promise<void> {
    const end = offset + BigInt(place.length);
    for (let from = offset; from < end; ) {
      const within = Number(from & BigInt(this.cluster - 1));
      const length = Math.min(Number(end - from), this.cluster - within);
      const cluster = place.at + Number(from - offset) - within;
      const { partSize } = this.entries;
      await this.#change(from, (slice, at) =>
        this.entries.setData(
          slice,
          at,
          cluster,
          Math.floor(within / partSize),
          Math.ceil((within + length) / partSize),
        ),
      );
      from += BigInt(length);
    }
  }

  /** The compressed bytes of a cluster of the disk are in their place. */
  async commitPacked(offset: bigint, at: number, length: number): Promise<void> {
    const [high, low] = packedEntry(at, length, this.#header.clusterBits);
    await this.#change(offset, (slice, entry) => {
      slice.fill(0, entry, entry + this.entries.bytes);
      slice.writeUInt32BE(high, entry);
      slice.writeUInt32BE(low, entry + 4);
    });
  }

  async #zero(offset: bigint, length: number, mayTrim: boolean): Promise<void> {
    await this.#eachCluster(offset, length, (_from, within, span, entry) => {
      const whole = span === this.cluster;
      if (isNowhere(entry) && whole && !this.backed) return undefined;
      const { partSize, parts } = this.entries;
      const gives = whole && (mayTrim || !hasRoom(entry)) && !this.#dataFile;
      return (slice, at) => {
        if (gives) return this.entries.clear(slice, at, true);
        const last = Math.min(parts, Math.ceil((within + span) / partSize));
        this.entries.setZero(slice, at, Math.floor(within / partSize), last);
      };
    });
  }

  async discard(offset: bigint, length: number): Promise<void> {
    const { knowsZero, parts } = this.entries;
    if (this.#dataFile || (this.backed && !knowsZero)) return;
    await this.#eachCluster(offset, length, (_from, _within, _span, entry) => {
      const isZero = !this.backed || (entry.kind === 'zero' && parts === 1);
      if (isNowhere(entry) && isZero) return undefined;
      return (slice, at) => this.entries.clear(slice, at, knowsZero);
    });
  }

  /** Of a range of whole clusters nothing is said any more, not even that it is zeroes. */
  async forget(from: bigint, to: bigint): Promise<void> {
    for (let at = from; at < to; ) {
      const table = this.l1.offsets[Number(at / this.entries.bytesOfTable)]!;
      if (table !== 0)
        await this.#change(at, (slice, entry) => this.entries.clear(slice, entry, false));
      at += table === 0 ? this.#toNextTable(at) : BigInt(this.cluster);
    }
  }

  /** Asks for each cluster of a range how its entry is to be changed, if at all. */
  async #eachCluster(
    offset: bigint,
    length: number,
    decide: (
      from: bigint,
      within: number,
      span: number,
      entry: Entry,
    ) => ((slice: Buffer, at: number) => void) | undefined,
  ): Promise<void> {
    const end = offset + BigInt(length);
    for (let from = offset; from < end; ) {
      const within = Number(from & BigInt(this.cluster - 1));
      const toEnd = end === this.size ? this.cluster - within : Number(end - from);
      const span = Math.min(this.cluster - within, toEnd);
      const entry = await this.#entryOf(from);
      const change = entry === 'nothing' ? undefined : decide(from, within, span, entry);
      if (change) await this.#change(from, change);
      from += entry === 'nothing' ? this.#toNextTable(from) : BigInt(this.cluster - within);
    }
  }

  #toNextTable(offset: bigint): bigint {
    return this.entries.bytesOfTable - (offset % this.entries.bytesOfTable);
  }

  /** What is said of the cluster of an offset; 'nothing': of all of a table that need not be there. */
  async #entryOf(offset: bigint): Promise<Entry | 'nothing'> {
    const index = Number(offset >> this.entries.clusterBits);
    const start = this.l1.offsets[Math.floor(index / this.entries.perTable)]!;
    if (start === 0) return this.backed ? NOTHING : 'nothing';
    const slice = await this.#slice(start, index);
    const part = Math.floor(Number(offset & BigInt(this.cluster - 1)) / this.entries.partSize);
    return this.entries.read(slice, (index % this.#perSlice) * this.entries.bytes, part);
  }

  /** Changes the entry of an offset; where its cluster was before is free later on. */
  async #change(offset: bigint, change: (slice: Buffer, at: number) => void): Promise<void> {
    const index = Number(offset >> this.entries.clusterBits);
    const table = await this.#ownTable(Math.floor(index / this.entries.perTable));
    const { bytes } = this.entries;
    const at = (index % this.#perSlice) * bytes;
    await this.tables.edit(this.#sliceStart(table, index), at, bytes, slice => {
      const before = this.hostClusters(slice, at);
      const isPacked = this.entries.read(slice, at, 0).kind === 'packed';
      const packed = isPacked ? packedAt(slice, at, this.#header.clusterBits) : undefined;
      change(slice, at);
      if (before.length === 0) return;
      if (packed) this.packedGone?.(packed);
      // Compressed bytes have references of their own, wherever they are.
      const stays = !packed && before[0] === this.hostClusters(slice, at)[0];
      if (!stays) this.#freed.push(...before);
    });
  }

  /** The clusters of the file, by their numbers, to which an entry refers. */
  hostClusters(slice: Buffer, at: number): number[] {
    const { kind, offset } = this.entries.read(slice, at, 0);
    if (kind === 'packed') {
      const { start, end } = packedAt(slice, at, this.#header.clusterBits);
      const first = Math.floor(start / this.cluster);
      const last = Math.floor((end - 1) / this.cluster);
      return Array.from({ length: last - first + 1 }, (_, each) => first + each);
    }
    return offset === 0 || this.#dataFile ? [] : [offset / this.cluster];
  }

  readonly #tablesInWork = new Map<number, Promise<number>>();

  /** Where the table is that an L1 entry leads to, for this mapping alone. */
  #ownTable(index: number): number | Promise<number> {
    if (this.l1.own[index] === 1) return this.l1.offsets[index]!;
    const begun = this.#tablesInWork.get(index);
    if (begun) return begun;
    const made = this.#makeTable(index).finally(() => this.#tablesInWork.delete(index));
    this.#tablesInWork.set(index, made);
    return made;
  }

  async #makeTable(index: number): Promise<number> {
    if (index >= this.l1.entries)
      throw new BlockError('EIO', 'the L1 table of the image is too small');
    const before = this.l1.offsets[index]!;
    const bytes =
      before === 0 ? Buffer.alloc(this.cluster) : await this.#file.bytes(before, this.cluster);
    const { first } = await this.refcounts!.allocate(1);
    const at = first * this.cluster;
    await this.#file.grow(at + this.cluster);
    this.tables.create(at, bytes);
    this.l1.set(index, at);
    if (before !== 0) this.#freed.push(before / this.cluster);
    return at;
  }

  /** What is asked for while one is under way is done by the next, for all who wait. */
  flush(): Promise<void> {
    if (!this.#flushing) return this.#settle();
    this.#nextFlush ??= this.#flushing
      .catch(() => {})
      .then(() => {
        this.#nextFlush = undefined;
        return this.#settle();
      });
    return this.#nextFlush;
  }

  #settle(): Promise<void> {
    this.#flushing ??= this.#writeAll().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /**
   * What is referred to before what refers to it; what is freed last. What is committed meanwhile is
   * for the next time: neither its data nor its counters need be there yet.
   */
  async #writeAll(): Promise<void> {
    const freed = this.#freed.splice(0);
    const [tables, l1] = [this.tables.take(), this.l1.take(this.#file)];
    try {
      await this.#dataFile?.flush();
      await this.refcounts!.writeBlocks();
      await this.#file.flush();
      if (await tables.write()) await this.#file.flush();
      if (await l1.write()) await this.#file.flush();
      this.#leaving.add(freed.splice(0));
      // One that cannot be freed is leaked, and keeps no other back.
      for (let gone = this.#leaving.next(); gone !== undefined; gone = this.#leaving.next()) {
        await this.#release(gone);
      }
    } finally {
      tables.giveBack();
      l1.giveBack();
      this.#freed.push(...freed);
    }
  }

  async #release(index: number): Promise<void> {
    const { trim } = this.#file.device;
    const isLast = (await this.refcounts!.get(index)) === 1;
    // More may be written to a partial cluster meanwhile.
    if (isLast && trim && this.refcounts!.partial !== index) {
      await trim.call(this.#file.device, BigInt(index * this.cluster), this.cluster);
    }
    await this.refcounts!.change(index, -1);
  }

  /** Writes all that is in memory. */
  async close(): Promise<void> {
    await this.flush();
    if (await this.refcounts!.writeBlocks()) await this.#file.flush();
  }
}

function unaligned(table: number, index: number): BlockError {
  const where = `L2 table offset 0x${table.toString(16)} unaligned`;
  const words = `the image is corrupt: ${where} (L1 index: 0x${index.toString(16)})`;
  return new BlockError('EIO', words);
}

const NOTHING: Entry = { kind: 'absent', offset: 0, own: false };

const isNowhere = ({ kind, offset }: Entry) => kind !== 'packed' && offset === 0;

const hasRoom = ({ kind, offset, own }: Entry) => kind !== 'packed' && offset !== 0 && own;
