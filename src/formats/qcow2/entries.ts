import type { RunKind } from '../../images/run.ts';
import { bytesOfTable, entryBytes, type Header, INCOMPATIBLE } from './header.ts';
import { COPIED, offsetAt, PACKED, writeEntry } from './offsets.ts';

/** What an L2 entry says of a cluster, or of one of its parts. */
export interface Entry {
  readonly kind: RunKind;
  /** Where the cluster is in the file; 0: nowhere. */
  readonly offset: number;
  /** Nobody else refers to that. */
  readonly own: boolean;
}

/** Parts of a cluster that may be there or not, each by itself; one where there are none. */
const PARTS = 32;
const ALL = 0xffff_ffff;
const ZERO = 1;

/** How the L2 entries of an image are read and written. */
export class Entries {
  readonly clusterSize: number;
  readonly clusterBits: bigint;
  /** Bytes of an entry. */
  readonly bytes: number;
  /** Entries of a table, and bytes of the disk that it maps. */
  readonly perTable: number;
  readonly bytesOfTable: bigint;
  /** Parts of a cluster, and bytes of one. */
  readonly parts: number;
  readonly partSize: number;
  /** A cluster that is nowhere can be said to be zeroes. */
  readonly knowsZero: boolean;
  readonly #extended: boolean;
  readonly #dataFile: boolean;

  constructor(header: Header) {
    this.clusterSize = 2 ** header.clusterBits;
    this.clusterBits = BigInt(header.clusterBits);
    this.bytes = entryBytes(header);
    this.perTable = this.clusterSize / this.bytes;
    this.bytesOfTable = bytesOfTable(header);
    this.#extended = this.bytes === 16;
    this.#dataFile = (header.incompatible & INCOMPATIBLE.dataFile) !== 0n;
    this.parts = this.#extended ? PARTS : 1;
    this.partSize = this.clusterSize / this.parts;
    this.knowsZero = header.version === 3;
  }

  /** What the entry at `at` says of a part of its cluster. */
  read(bytes: Buffer, at: number, part: number): Entry {
    const high = bytes.readUInt32BE(at);
    if (high & PACKED) return { kind: 'packed', offset: 0, own: false };
    const offset = offsetAt(bytes, at);
    const own = (high & COPIED) !== 0;
    return {
      kind: this.#kind(bytes, at, part, offset !== 0 || (this.#dataFile && own)),
      offset,
      own,
    };
  }

  #kind(bytes: Buffer, at: number, part: number, somewhere: boolean): RunKind {
    if (this.#extended) {
      if ((bytes.readUInt32BE(at + 12) >>> part) & 1) return 'data';
      return (bytes.readUInt32BE(at + 8) >>> part) & 1 ? 'zero' : 'absent';
    }
    if (this.knowsZero && bytes[at + 7]! & ZERO) return 'zero';
    return somewhere ? 'data' : 'absent';
  }

  /**
   * Parts of a cluster are data, at `offset`. What is not among them stays as it was, or is absent
   * where the cluster was nowhere else.
   */
  setData(bytes: Buffer, at: number, offset: number, from: number, to: number): void {
    const moves = offsetAt(bytes, at) !== offset || bytes.readUInt32BE(at) & PACKED;
    writeEntry(bytes, at, offset, true);
    if (!this.#extended) return;
    const mask = maskOf(from, to);
    const before = moves ? 0 : bytes.readUInt32BE(at + 12);
    bytes.writeUInt32BE((bytes.readUInt32BE(at + 8) & ~mask) >>> 0, at + 8);
    bytes.writeUInt32BE((before | mask) >>> 0, at + 12);
  }

  /** Parts of a cluster read as zeroes; it keeps the room that it has. */
  setZero(bytes: Buffer, at: number, from: number, to: number): void {
    if (!this.#extended) {
      bytes[at + 7]! |= ZERO;
      return;
    }
    const mask = maskOf(from, to);
    bytes.writeUInt32BE((bytes.readUInt32BE(at + 8) | mask) >>> 0, at + 8);
    bytes.writeUInt32BE((bytes.readUInt32BE(at + 12) & ~mask) >>> 0, at + 12);
  }

  /** Notes whether nobody else refers to where a cluster is. */
  mark(bytes: Buffer, at: number, own: boolean): void {
    const high = bytes.readUInt32BE(at);
    bytes.writeUInt32BE((own ? high | COPIED : high & ~COPIED) >>> 0, at);
  }

  /** The cluster is nowhere; it reads as zeroes, or as the backing file has it. */
  clear(bytes: Buffer, at: number, zero: boolean): void {
    bytes.fill(0, at, at + this.bytes);
    if (zero) this.setZero(bytes, at, 0, this.parts);
  }
}

const maskOf = (from: number, to: number) =>
  to - from === PARTS ? ALL : ((2 ** (to - from) - 1) << from) >>> 0;
