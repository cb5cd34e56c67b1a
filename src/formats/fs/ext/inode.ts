import { andThen } from '../../../block/answer.ts';
import { crc32c } from '../../../block/crc32c.ts';
import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Stat } from '../file-system.ts';
import type { Pages } from '../pages.ts';
import { typeOfMode } from '../posix-mode.ts';
import type { Groups } from './groups.ts';
import { inodeSeed, type Superblock } from './superblock.ts';

const FLAGS = {
  encrypted: 0x800,
  hugeFile: 0x40000,
  extents: 0x80000,
  inline: 0x10000000,
} as const;

/** An inode, verified. */
export interface Inode {
  readonly number: number;
  readonly bytes: Buffer;
  readonly stat: Stat;
  readonly encrypted: boolean;
  readonly extents: boolean;
  readonly inline: boolean;
  /** The 60 bytes that say where its content is, or are the content. */
  readonly map: Buffer;
  /** The block with its extended attributes; 0: none. */
  readonly attributeBlock: number;
  /** Bytes of the inode beyond the first 128 that are in use. */
  readonly extra: number;
  /** What the checksums of its blocks begin with. */
  readonly seed: number | undefined;
}

/** Where inodes are found. */
interface Places {
  readonly pages: Pages;
  readonly superblock: Superblock;
  readonly groups: Groups;
}

/** At once where it is there. @throws BlockError */
export function readInode(
  { pages, superblock, groups }: Places,
  number: number,
  options?: RequestOptions,
): Inode | PromiseLike<Inode> {
  const what = `ext: inode ${number}`;
  const { inodesPerGroup, inodeSize, blockSize } = superblock;
  if (number < 1 || number > superblock.inodes) throw damaged(what, 'there is none of this number');
  const group = Math.floor((number - 1) / inodesPerGroup);
  const within = ((number - 1) % inodesPerGroup) * inodeSize;
  const bytes = andThen(groups.get(group, options), ({ inodeTable }) =>
    pages.structure(what, inodeTable * blockSize + within, inodeSize, options),
  );
  return andThen(bytes, found => inodeOf(superblock, number, found));
}

function inodeOf(superblock: Superblock, number: number, bytes: Buffer): Inode {
  const what = `ext: inode ${number}`;
  const { inodeSize } = superblock;
  const extra = inodeSize > 128 ? bytes.readUInt16LE(128) : 0;
  if (128 + extra > inodeSize) throw damaged(what, 'its extra fields are longer than it is');
  const { seed } = superblock;
  const own = seed === undefined ? undefined : inodeSeed(seed, number, bytes.readUInt32LE(100));
  if (own !== undefined) verify(what, bytes, extra, own);
  const flags = bytes.readUInt32LE(32);
  return {
    number,
    bytes,
    stat: statOf(superblock, number, bytes, extra),
    encrypted: (flags & FLAGS.encrypted) !== 0,
    extents: (flags & FLAGS.extents) !== 0,
    inline: (flags & FLAGS.inline) !== 0,
    map: bytes.subarray(40, 100),
    attributeBlock: bytes.readUInt32LE(104) + bytes.readUInt16LE(118) * 2 ** 32,
    extra,
    seed: own,
  };
}

/** The sum counts its own two fields as zeroes. */
function verify(what: string, bytes: Buffer, extra: number, seed: number): void {
  const whole = bytes.length > 128 && extra >= 4;
  const zeroed = Buffer.from(bytes);
  zeroed.writeUInt16LE(0, 124);
  if (whole) zeroed.writeUInt16LE(0, 130);
  const sum = crc32c(seed, zeroed);
  const said = bytes.readUInt16LE(124) + (whole ? bytes.readUInt16LE(130) * 65536 : 0);
  if (said !== (whole ? sum : sum & 0xffff)) throw damaged(what, 'its checksum is wrong');
}

function statOf(
  { hugeFiles, blockSize }: Superblock,
  number: number,
  bytes: Buffer,
  extra: number,
): Stat {
  const mode = bytes.readUInt16LE(0);
  const type = typeOfMode(mode);
  const u32 = (at: number) => bytes.readUInt32LE(at);
  const sized = type === 'file' || type === 'directory';
  const blocks = BigInt(u32(28)) + (hugeFiles ? BigInt(bytes.readUInt16LE(116)) << 32n : 0n);
  const inBlocks = hugeFiles && (u32(32) & FLAGS.hugeFile) !== 0;
  const inInode = type === 'file' && (u32(32) & FLAGS.inline) !== 0;
  const size = BigInt(u32(4)) + (sized ? BigInt(u32(108)) << 32n : 0n);
  const special = type === 'character' || type === 'block';
  return {
    type,
    mode: mode & 0o7777,
    links: bytes.readUInt16LE(26),
    uid: bytes.readUInt16LE(2) + bytes.readUInt16LE(120) * 65536,
    gid: bytes.readUInt16LE(24) + bytes.readUInt16LE(122) * 65536,
    size,
    // As stat counts them, content of a file in its inode takes space, too.
    blocks:
      (inBlocks ? blocks * BigInt(blockSize / 512) : blocks) +
      (inInode ? (size + 511n) / 512n : 0n),
    atime: timeOf(bytes, 8, 140, extra),
    mtime: timeOf(bytes, 16, 136, extra),
    ctime: timeOf(bytes, 12, 132, extra),
    inode: BigInt(number),
    device: special ? deviceOf(u32(40), u32(44)) : undefined,
  };
}

/** Seconds of 34 bits, of which the upper two and nanoseconds are in a field further on. */
function timeOf(bytes: Buffer, at: number, extraAt: number, extra: number): bigint {
  const seconds = BigInt(bytes.readInt32LE(at));
  if (128 + extra < extraAt + 4) return seconds * 1_000_000_000n;
  const more = bytes.readUInt32LE(extraAt);
  return (seconds + (BigInt(more & 3) << 32n)) * 1_000_000_000n + BigInt(more >>> 2);
}

/** The old form has 8 bits each, the new one 12 and 20. */
function deviceOf(old: number, current: number): { major: number; minor: number } {
  if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff };
  return { major: (current >>> 8) & 0xfff, minor: (current & 0xff) | ((current >>> 12) & 0xfff00) };
}
