import { damaged } from '../damaged.ts';

/** Types of attributes. */
export const ATTRIBUTE = {
  standard: 0x10,
  list: 0x20,
  volumeName: 0x60,
  volumeInformation: 0x70,
  data: 0x80,
  indexRoot: 0x90,
  indexAllocation: 0xa0,
  bitmap: 0xb0,
  reparse: 0xc0,
} as const;

/** A record of the table of files, with its own attributes. */
export interface Record {
  readonly number: number;
  readonly sequence: number;
  readonly links: number;
  readonly inUse: boolean;
  readonly directory: boolean;
  /** The record of which this is a continuation; 0: it is none. */
  readonly base: number;
  readonly attributes: readonly Attribute[];
}

/** An attribute, or a part of one, as it stands in a record. */
export interface Attribute {
  readonly type: number;
  readonly name: string;
  readonly id: number;
  readonly compressed: boolean;
  readonly encrypted: boolean;
  /** Its value, where that is in the record. */
  readonly value?: Buffer;
  readonly mapped?: Mapped;
}

/** A value that lies in clusters. Sizes in bytes. */
export interface Mapped {
  readonly firstCluster: number;
  readonly pairs: Buffer;
  /** Clusters that are compressed as one: a power of two. */
  readonly unit: number;
  readonly size: bigint;
  readonly initialized: bigint;
  /** What it takes on the disk. */
  readonly allocated: bigint;
}

const FLAG = { inUse: 1, directory: 2 } as const;
const ATTRIBUTE_FLAG = { compressed: 0x00ff, encrypted: 0x4000, sparse: 0x8000 } as const;
const END = 0xffffffff;
/** What each sector ends with stands elsewhere, in sectors of this many bytes whatever the disk has. */
const SECTOR = 512;

/** The number of a record in a reference to it. */
export function numberOf(reference: bigint): number {
  return Number(reference & 0xffffffffffffn);
}

/**
 * Puts back what stood at the end of each sector of a structure, where its update sequence is.
 * @returns a copy. @throws BlockError EIO it was not written as a whole.
 */
export function fixed(bytes: Buffer, magic: string, what: string): Buffer {
  if (bytes.toString('latin1', 0, 4) !== magic) throw damaged(what, 'its magic number is missing');
  const [at, count] = [bytes.readUInt16LE(4), bytes.readUInt16LE(6)];
  const sectors = bytes.length / SECTOR;
  if (count !== sectors + 1 || at + 2 * count > bytes.length)
    throw damaged(what, 'its update sequence is damaged');
  const copy = Buffer.from(bytes);
  for (let sector = 1; sector <= sectors; sector++) {
    const end = sector * SECTOR - 2;
    if (bytes.readUInt16LE(end) !== bytes.readUInt16LE(at))
      throw damaged(what, 'it was not written as a whole');
    bytes.copy(copy, end, at + 2 * sector, at + 2 * sector + 2);
  }
  return copy;
}

/** @throws BlockError EIO */
export function parseRecord(number: number, raw: Buffer): Record {
  const what = `ntfs: record ${number}`;
  const bytes = fixed(raw, 'FILE', what);
  const flags = bytes.readUInt16LE(22);
  return {
    number,
    sequence: bytes.readUInt16LE(16),
    links: bytes.readUInt16LE(18),
    inUse: (flags & FLAG.inUse) !== 0,
    directory: (flags & FLAG.directory) !== 0,
    base: numberOf(bytes.readBigUInt64LE(32)),
    attributes: attributesIn(bytes, what),
  };
}

function attributesIn(bytes: Buffer, what: string): Attribute[] {
  const found: Attribute[] = [];
  for (let at = bytes.readUInt16LE(20); at + 8 <= bytes.length; ) {
    const type = bytes.readUInt32LE(at);
    if (type === END) break;
    const length = bytes.readUInt32LE(at + 4);
    if (length < 24 || length % 8 !== 0 || at + length > bytes.length) {
      throw damaged(what, `an attribute of ${length} bytes`);
    }
    found.push(attributeOf(type, bytes.subarray(at, at + length), what));
    at += length;
  }
  return found;
}

function attributeOf(type: number, bytes: Buffer, what: string): Attribute {
  const nameAt = bytes.readUInt16LE(10);
  const nameEnd = nameAt + 2 * bytes[9]!;
  const flags = bytes.readUInt16LE(12);
  if (nameEnd > bytes.length) throw damaged(what, 'the name of an attribute reaches past it');
  const common = {
    type,
    name: bytes.toString('utf16le', nameAt, nameEnd),
    id: bytes.readUInt16LE(14),
    compressed: (flags & ATTRIBUTE_FLAG.compressed) !== 0,
    encrypted: (flags & ATTRIBUTE_FLAG.encrypted) !== 0,
  };
  if (bytes[8] === 0) {
    const start = bytes.readUInt16LE(20);
    const end = start + bytes.readUInt32LE(16);
    if (end > bytes.length) throw damaged(what, 'the value of an attribute reaches past it');
    return { ...common, value: bytes.subarray(start, end) };
  }
  const pairsAt = bytes.length < 64 ? Infinity : bytes.readUInt16LE(32);
  if (pairsAt > bytes.length || bytes[34]! > 16) throw damaged(what, 'an attribute is damaged');
  const dense = (flags & (ATTRIBUTE_FLAG.compressed | ATTRIBUTE_FLAG.sparse)) === 0;
  const allocatedAt = dense || bytes.length < 72 ? 40 : 64;
  const mapped = {
    firstCluster: Number(bytes.readBigUInt64LE(16)),
    pairs: bytes.subarray(pairsAt),
    unit: 2 ** bytes[34]!,
    size: bytes.readBigUInt64LE(48),
    initialized: bytes.readBigUInt64LE(56),
    allocated: bytes.readBigUInt64LE(allocatedAt),
  };
  return { ...common, mapped };
}
