import type { RequestOptions } from '../../../block/device.ts';
import { damaged, LONGEST_LINK } from '../damaged.ts';
import type { FileType, Stat } from '../file-system.ts';
import { nameOf } from '../names.ts';
import type { Blocks } from './blocks.ts';
import type { Superblock } from './superblock.ts';

const TYPES: readonly FileType[] = [
  'directory',
  'file',
  'symlink',
  'block',
  'character',
  'fifo',
  'socket',
];
/** Bytes of each kind of inode, first short, then long. */
const LENGTHS = [32, 32, 24, 24, 24, 20, 20, 40, 56, 24, 28, 28, 24, 24];
const NO_FRAGMENT = 0xffffffff;
const MOST_BLOCKS = 1 << 22;

/** An inode as it is read. */
export interface Inode {
  readonly stat: Stat;
  /** Of a directory: where its listing begins, and its bytes. */
  readonly listing?: { readonly block: number; readonly offset: number; readonly length: number };
  /** Of a file. */
  readonly content?: Content;
  readonly link?: string;
}

export interface Content {
  /** Where its blocks begin, one after the other. */
  readonly start: number;
  /** What is said of each block: its length, and whether it is compressed; 0 is a hole. */
  readonly sizes: Uint32Array;
  /** The end of the file, among others in a block. */
  readonly fragment: { readonly index: number; readonly offset: number } | undefined;
}

/** @param reference block of the inode table, and in the lower 16 bits the offset in it. */
export async function readInode(
  blocks: Blocks,
  superblock: Superblock,
  reference: bigint,
  ids: readonly number[],
  options?: RequestOptions,
): Promise<Inode> {
  const what = 'squashfs: inode';
  const block = superblock.inodeTable + Number(reference >> 16n);
  const offset = Number(reference & 0xffffn);
  const read = (length: number) => blocks.metadata(what, block, offset, length, options);
  const kind = (await read(2)).readUInt16LE(0);
  const length = LENGTHS[kind - 1];
  if (length === undefined) throw damaged(what, `it is of kind ${kind}`);
  const bytes = await read(length);
  const type = TYPES[(kind - 1) % 7]!;
  const long = kind > 7;
  const id = (at: number) => {
    const found = ids[bytes.readUInt16LE(at)];
    if (found === undefined) throw damaged(what, 'its owner is not in the table');
    return found;
  };
  const time = BigInt(bytes.readUInt32LE(8)) * 1_000_000_000n;
  const stat: Stat = {
    type,
    mode: bytes.readUInt16LE(2) & 0o7777,
    links: 1,
    uid: id(4),
    gid: id(6),
    size: 0n,
    blocks: 0n,
    atime: time,
    mtime: time,
    ctime: time,
    inode: BigInt(bytes.readUInt32LE(12)),
  };
  if (type === 'directory') return directory(bytes, long, stat);
  if (type === 'file') return file(bytes, long, stat, superblock, read);
  const links = { ...stat, links: bytes.readUInt32LE(16) };
  if (type === 'symlink') return symlink(bytes, links, read);
  if (type === 'fifo' || type === 'socket') return { stat: links };
  return { stat: { ...links, device: deviceOf(bytes.readUInt32LE(20)) } };
}

function directory(bytes: Buffer, long: boolean, stat: Stat): Inode {
  const size = long ? bytes.readUInt32LE(20) : bytes.readUInt16LE(24);
  const block = bytes.readUInt32LE(long ? 24 : 16);
  const offset = bytes.readUInt16LE(long ? 34 : 26);
  const links = bytes.readUInt32LE(long ? 16 : 20);
  // Three bytes stand for . and .. that are not there.
  const listing = { block, offset, length: Math.max(0, size - 3) };
  return { stat: { ...stat, links, size: BigInt(size) }, listing };
}

async function file(
  bytes: Buffer,
  long: boolean,
  stat: Stat,
  { blockSize }: Superblock,
  read: (length: number) => Promise<Buffer>,
): Promise<Inode> {
  const size = long ? Number(bytes.readBigUInt64LE(24)) : bytes.readUInt32LE(28);
  const holes = long ? bytes.readBigUInt64LE(32) : 0n;
  const index = bytes.readUInt32LE(long ? 44 : 20);
  const whole = index === NO_FRAGMENT;
  const count = whole ? Math.ceil(size / blockSize) : Math.floor(size / blockSize);
  if (!(count <= MOST_BLOCKS)) throw damaged('squashfs: inode', `a file of ${size} bytes`);
  const list = (await read(bytes.length + 4 * count)).subarray(bytes.length);
  const sizes = Uint32Array.from({ length: count }, (_, at) => list.readUInt32LE(4 * at));
  return {
    stat: {
      ...stat,
      links: long ? bytes.readUInt32LE(40) : 1,
      size: BigInt(size),
      blocks: (BigInt(size) - holes + 511n) / 512n,
    },
    content: {
      start: long ? Number(bytes.readBigUInt64LE(16)) : bytes.readUInt32LE(16),
      sizes,
      fragment: whole ? undefined : { index, offset: bytes.readUInt32LE(long ? 48 : 24) },
    },
  };
}

async function symlink(
  bytes: Buffer,
  stat: Stat,
  read: (length: number) => Promise<Buffer>,
): Promise<Inode> {
  const size = bytes.readUInt32LE(20);
  if (size > LONGEST_LINK) throw damaged('squashfs: symbolic link', `it has ${size} bytes`);
  const link = nameOf((await read(24 + size)).subarray(24));
  return { stat: { ...stat, size: BigInt(size) }, link };
}

function deviceOf(rdev: number): { major: number; minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}
