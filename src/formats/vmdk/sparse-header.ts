import { BlockError } from '../../block/errors.ts';
import { SECTOR, wrong } from './descriptor.ts';

/** What the header of an extent says of its grains; places and sizes in bytes. */
export interface SparseHeader {
  readonly kind: 'KDMV' | 'COWD';
  readonly version: number;
  readonly size: number;
  /** Bytes of a grain, and entries of a table of them. */
  readonly grain: number;
  readonly perTable: number;
  /** Where the directory of tables is, and where there is another one with tables of its own. */
  readonly directoryAt: number;
  readonly secondAt: number | undefined;
  /** Where the embedded descriptor is, and how long. */
  readonly descriptorAt: number;
  readonly descriptorLength: number;
  /** Where grains begin. */
  readonly dataAt: number;
  /** Grains can be said to be zeroes. */
  readonly knowsZero: boolean;
  readonly compressed: boolean;
  /** Before each compressed grain stands where it belongs and how long it is. */
  readonly markers: boolean;
}

export const HEADER = 512;
const IN_FOOTER = 2n ** 64n - 1n;
const FLAGS = { newlines: 1, second: 2, zero: 4, compressed: 1 << 16, markers: 1 << 17 };
const NEWLINES = Buffer.from('\n \r\n');
/** Tables in a directory: 4 MiB of it. */
const MOST_TABLES = 1 << 20;
const MOST_GRAIN = 1 << 26;
const DEFLATE = 1;

/** Whether the directory is told of at the end of the file. */
export const isInFooter = (bytes: Buffer) => bytes.readBigUInt64LE(56) === IN_FOOTER;

/** @param bytes HEADER of them. @throws BlockError EINVAL, ENOTSUP */
export function parseSparse(bytes: Buffer): SparseHeader {
  const version = bytes.readUInt32LE(4);
  const flags = bytes.readUInt32LE(8);
  if (version < 1 || version > 3) {
    throw new BlockError('ENOTSUP', `vmdk: Unsupported VMDK version ${version}`);
  }
  const compressed = (flags & FLAGS.compressed) !== 0;
  const compression = bytes.readUInt16LE(77);
  if (compressed && compression !== DEFLATE) {
    throw new BlockError('ENOTSUP', `vmdk: compression ${compression} is not supported`);
  }
  const place = (at: number) => inBytes(bytes.readBigUInt64LE(at));
  const header: SparseHeader = {
    kind: 'KDMV',
    version,
    size: inBytes(bytes.readBigUInt64LE(12), 'L1 size too big'),
    grain: place(20),
    perTable: bytes.readUInt32LE(44),
    directoryAt: place(56),
    secondAt: flags & FLAGS.second ? place(48) : undefined,
    descriptorAt: place(28),
    descriptorLength: place(36),
    dataAt: place(64),
    knowsZero: (flags & FLAGS.zero) !== 0,
    compressed,
    markers: (flags & FLAGS.markers) !== 0,
  };
  checked(header);
  if (flags & FLAGS.newlines && !bytes.subarray(73, 77).equals(NEWLINES)) {
    throw wrong('the file was damaged by a transfer as text');
  }
  return header;
}

/** The older form, of ESX. @throws BlockError EINVAL */
export function parseCowd(bytes: Buffer): SparseHeader {
  const place = (at: number) => bytes.readUInt32LE(at) * SECTOR;
  return checked({
    kind: 'COWD',
    version: bytes.readUInt32LE(4),
    size: place(12),
    grain: place(16),
    perTable: 4096,
    directoryAt: place(20),
    secondAt: undefined,
    descriptorAt: 0,
    descriptorLength: 0,
    dataAt: 0,
    knowsZero: false,
    compressed: false,
    markers: false,
  });
}

function inBytes(sectors: bigint, tooMany = `vmdk: the header tells of sector ${sectors}`): number {
  const bytes = sectors * BigInt(SECTOR);
  if (bytes <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(bytes);
  throw new BlockError('EINVAL', tooMany);
}

export function tablesOf({ size, grain, perTable }: SparseHeader): number {
  return Math.ceil(Math.ceil(size / grain) / perTable);
}

function checked(header: SparseHeader): SparseHeader {
  const { grain, perTable, directoryAt, secondAt } = header;
  if (grain < SECTOR || grain > MOST_GRAIN || !Number.isInteger(Math.log2(grain))) {
    throw wrong(`grains of ${grain} bytes: expected a power of two from 512 to 64 MiB`);
  }
  if (perTable < 1 || perTable > 4096) throw wrong(`tables of ${perTable} entries`);
  const tables = tablesOf(header);
  if (tables > MOST_TABLES) throw new BlockError('EINVAL', 'L1 size too big');
  if (directoryAt < HEADER || (secondAt !== undefined && secondAt < HEADER)) {
    throw wrong(`the directory is at byte ${Math.min(directoryAt, secondAt ?? directoryAt)}`);
  }
  return header;
}

/** Where things are in a new extent, and what its header says. */
export interface NewSparse {
  readonly bytes: Buffer;
  /** Both directories: where they are, and of how many tables, which follow each. */
  readonly directories: readonly { readonly at: number; readonly tables: readonly number[] }[];
  readonly descriptorAt: number;
  readonly descriptorLength: number;
  readonly dataAt: number;
}

const GRAIN_SECTORS = 128;
const PER_TABLE = 512;
const DESCRIPTOR_SECTORS = 20;

/** The layout that VMware and qemu make: descriptor, two directories with all tables, grains. */
export function newSparse(
  size: number,
  { zero, compressed }: { zero: boolean; compressed: boolean },
): NewSparse {
  const grains = Math.ceil(size / SECTOR / GRAIN_SECTORS);
  const count = Math.ceil(grains / PER_TABLE);
  const tableSectors = (PER_TABLE * 4) / SECTOR;
  const directorySectors = Math.ceil((count * 4) / SECTOR);
  const each = directorySectors + tableSectors * count;
  const second = 1 + DESCRIPTOR_SECTORS;
  const first = second + each;
  const data = Math.ceil((first + each) / GRAIN_SECTORS) * GRAIN_SECTORS;
  const bytes = Buffer.alloc(HEADER);
  bytes.write('KDMV', 'latin1');
  bytes.writeUInt32LE(compressed ? 3 : zero ? 2 : 1, 4);
  const more = (zero ? FLAGS.zero : 0) | (compressed ? FLAGS.compressed | FLAGS.markers : 0);
  bytes.writeUInt32LE(FLAGS.newlines | FLAGS.second | more, 8);
  const put = (at: number, sectors: number) => bytes.writeBigUInt64LE(BigInt(sectors), at);
  put(12, Math.ceil(size / SECTOR));
  put(20, GRAIN_SECTORS);
  put(28, 1);
  put(36, DESCRIPTOR_SECTORS);
  bytes.writeUInt32LE(PER_TABLE, 44);
  put(48, second);
  put(56, first);
  put(64, data);
  NEWLINES.copy(bytes, 73);
  bytes.writeUInt16LE(compressed ? DEFLATE : 0, 77);
  const directory = (sector: number) => ({
    at: sector * SECTOR,
    tables: Array.from(
      { length: count },
      (_, index) => sector + directorySectors + index * tableSectors,
    ),
  });
  return {
    bytes,
    directories: [directory(second), directory(first)],
    descriptorAt: SECTOR,
    descriptorLength: DESCRIPTOR_SECTORS * SECTOR,
    dataAt: data * SECTOR,
  };
}
