import { readInto } from '../../block/read-into.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { dataClusters, directoryOf, readBitmaps } from './bitmap-directory.ts';
import { cryptoHeader } from './extensions.ts';
import type { Findings } from './findings.ts';
import { entryBytes, type Header, INCOMPATIBLE } from './header.ts';
import { COPIED, offsetAt, PACKED, writtenEntries } from './offsets.ts';
import { packedAt } from './packed.ts';
import type { StoredSnapshot } from './snapshot-table.ts';

const PAGE = 1 << 16;
const MOST_L1_BYTES = 32 << 20;
/** Bits that must be zero, of the upper and lower half of an entry. */
const RESERVED = { l1: [0x7f00_0000, 0x1ff], l2: [0x3f00_0000, 0x1fe] } as const;

/** What an image refers to: how often each cluster of the file is in use, by its own tables. */
export class References {
  readonly #file: ImageFile;
  readonly #header: Header;
  readonly #findings: Findings;
  readonly #clusterSize: number;
  readonly #pages = new Map<number, Uint32Array>();
  /** One after the other. */
  readonly #table: Buffer;
  /** Of the disk, for people. */
  allocated = 0;
  fragmented = 0;
  compressed = 0;
  /** Clusters of the file. */
  clusters: number;

  constructor(file: ImageFile, header: Header, findings: Findings) {
    this.#file = file;
    this.#header = header;
    this.#findings = findings;
    this.#clusterSize = 2 ** header.clusterBits;
    this.#table = Buffer.alloc(this.#clusterSize);
    this.clusters = Math.ceil(file.end / this.#clusterSize);
  }

  /** The most often that any cluster is in use. */
  get most(): number {
    return Math.max(
      0,
      ...[...this.#pages.values()].map(page => page.reduce((a, b) => Math.max(a, b), 0)),
    );
  }

  get(index: number): number {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? 0;
  }

  /** A range of the file is in use once more. @param at in bytes */
  add(at: number, length: number): void {
    if (length === 0) return;
    const last = Math.floor((at + length - 1) / this.#clusterSize);
    // The last cluster of a file may be cut short, no more.
    if (at + length - this.#file.end >= this.#clusterSize) {
      const where = `offset 0x${at.toString(16)} size 0x${length.toString(16)}`;
      const words =
        'counting reference for region exceeding the end of the file by one cluster or more';
      this.#findings.corrupt(`ERROR: ${words}: ${where}`);
      return;
    }
    for (let index = Math.floor(at / this.#clusterSize); index <= last; index++) {
      const number = Math.floor(index / PAGE);
      let page = this.#pages.get(number);
      if (!page) {
        page = new Uint32Array(PAGE);
        this.#pages.set(number, page);
      }
      page[index % PAGE]! += 1;
    }
  }

  /** All that the header, the mapping and the snapshots refer to, but for the counters themselves. */
  async addAll(snapshots: readonly StoredSnapshot[], tableBytes: number): Promise<void> {
    const { l1Offset, l1Entries, snapshotsOffset, refcountOffset, refcountClusters } = this.#header;
    this.add(0, this.#clusterSize);
    await this.#addL1(l1Offset, l1Entries, true);
    for (const { id, name, l1Offset: at, l1Entries: entries } of snapshots) {
      const what = `ERROR snapshot ${id} (${name})`;
      if (at % this.#clusterSize !== 0) {
        const words = 'L1 table is not cluster aligned; snapshot table entry corrupted';
        this.#findings.corrupt(`${what} l1_offset=0x${at.toString(16)}: ${words}`);
      } else if (entries * 8 > MOST_L1_BYTES) {
        const words = 'L1 table is too large; snapshot table entry corrupted';
        this.#findings.corrupt(`${what} l1_size=0x${entries.toString(16)}: ${words}`);
      } else await this.#addL1(at, entries, false);
    }
    this.add(snapshotsOffset, tableBytes);
    this.add(refcountOffset, refcountClusters * this.#clusterSize);
    const crypto = cryptoHeader(this.#header);
    if (crypto) this.add(crypto.offset, crypto.length);
    await this.#addBitmaps();
  }

  async #addBitmaps(): Promise<void> {
    const directory = directoryOf(this.#header);
    if (!directory) return;
    this.add(directory.at, directory.length);
    for (const { tableAt, tableEntries } of await readBitmaps(this.#file, this.#header)) {
      this.add(tableAt, tableEntries * 8);
      if (tableAt >= this.#file.end) continue;
      for (const at of await dataClusters(this.#file, tableAt, tableEntries)) {
        if (at > 1) this.add(at, this.#clusterSize);
      }
    }
  }

  async #addL1(at: number, entries: number, active: boolean): Promise<void> {
    if (entries === 0) return;
    this.add(at, entries * 8);
    const l1 = await this.#file.bytes(at, entries * 8);
    for (let entry = 0; entry < l1.length; entry += 8) {
      const offset = offsetAt(l1, entry);
      if (offset === 0) continue;
      if (hasReserved(l1, entry, RESERVED.l1)) {
        this.#findings.corrupt(`ERROR found L1 entry with reserved bits set: ${hex(l1, entry)}`);
      }
      this.add(offset, this.#clusterSize);
      if (offset % this.#clusterSize !== 0) {
        const words = 'Table is not cluster aligned; L1 entry corrupted';
        this.#findings.corrupt(`ERROR l2_offset=${offset.toString(16)}: ${words}`);
      }
      if (offset < this.#file.end) await this.#addL2(offset, active);
    }
  }

  async #addL2(at: number, active: boolean): Promise<void> {
    const table = this.#table;
    await readInto(this.#file, BigInt(at), table);
    let next = 0;
    for (const entry of writtenEntries(table, entryBytes(this.#header))) {
      if (table.readUInt32BE(entry) & PACKED) {
        this.#addPacked(table, entry, active);
        continue;
      }
      const offset = offsetAt(table, entry);
      this.#checkEntry(table, entry, offset);
      if (offset === 0 && !this.#isInDataFile(table, entry)) continue;
      if (active) {
        this.allocated += 1;
        if (next !== 0 && next !== offset) this.fragmented += 1;
        next = offset + this.#clusterSize;
      }
      if (!(this.#header.incompatible & INCOMPATIBLE.dataFile)) this.add(offset, this.#clusterSize);
    }
  }

  #addPacked(table: Buffer, entry: number, active: boolean): void {
    const { start, end } = packedAt(table, entry, this.#header.clusterBits);
    if (table.readUInt32BE(entry) & COPIED) {
      const words = 'copied flag must never be set for compressed clusters';
      this.#findings.corrupt(`ERROR: coffset=0x${start.toString(16)}: ${words}`);
    }
    if (this.#header.incompatible & INCOMPATIBLE.dataFile) {
      const words = `ERROR compressed cluster ${entry / 8} with data file, entry=0x${hex(table, entry)}`;
      this.#findings.corrupt(words);
      return;
    }
    this.add(start, end - start);
    if (!active) return;
    this.allocated += 1;
    this.compressed += 1;
    this.fragmented += 1;
  }

  /** With a data file the first cluster of the disk is at offset 0. */
  #isInDataFile(table: Buffer, entry: number): boolean {
    const inFile = (this.#header.incompatible & INCOMPATIBLE.dataFile) !== 0n;
    return inFile && (table.readUInt32BE(entry) & COPIED) !== 0;
  }

  #checkEntry(table: Buffer, entry: number, offset: number): void {
    if (hasReserved(table, entry, RESERVED.l2)) {
      this.#findings.corrupt(`ERROR found l2 entry with reserved bits set: ${hex(table, entry)}`);
    }
    const where = offset.toString(16);
    const extended = entryBytes(this.#header) === 16;
    const [zero, data] = extended
      ? [table.readUInt32BE(entry + 8), table.readUInt32BE(entry + 12)]
      : [table[entry + 7]! & 1, ~table[entry + 7]! & 1];
    if (extended && (zero & data) !== 0) {
      const words = 'Allocated cluster has corrupted subcluster allocation bitmap';
      this.#findings.corrupt(`ERROR offset=${where}: ${words}`);
    }
    if (offset === 0 && extended && data !== 0 && !this.#isInDataFile(table, entry)) {
      this.#findings.corrupt('ERROR: Unallocated cluster has non-zero subcluster allocation map');
    }
    if (offset % this.#clusterSize === 0) return;
    const what = data === 0 ? 'Preallocated cluster' : 'Data cluster';
    const words = `${what} is not properly aligned; L2 entry corrupted.`;
    this.#findings.corrupt(`ERROR offset=${where}: ${words}`);
  }
}

function hasReserved(bytes: Buffer, at: number, [high, low]: readonly [number, number]): boolean {
  return (bytes.readUInt32BE(at) & high) !== 0 || (bytes.readUInt32BE(at + 4) & low) !== 0;
}

const hex = (bytes: Buffer, at: number) => bytes.readBigUInt64BE(at).toString(16);
