import { crc32c, crc32cOfWord } from '../../../block/crc32c.ts';
import { damaged, unsupported } from '../damaged.ts';
import { nameOf } from '../names.ts';

/** Where the superblock begins, and its length, in bytes. */
export const SUPERBLOCK = { offset: 1024, length: 1024 } as const;

/** mke2fs makes no smaller groups, and a petabyte has no more of the usual ones. */
const FEWEST_IN_GROUP = 256;
const MOST_GROUPS = 1 << 23;

/** Bits of the field of features that whoever reads has to know. */
const INCOMPAT = {
  recover: 4,
  metaBg: 0x10,
  extents: 0x40,
  is64bit: 0x80,
  checksumSeed: 0x2000,
} as const;
/** filetype, MMP, flex_bg, ea_inode, largedir, inline_data, encrypt, casefold. */
const READABLE = 0x2 | 0x100 | 0x200 | 0x400 | 0x4000 | 0x8000 | 0x10000 | 0x20000;
const KNOWN = Object.values(INCOMPAT).reduce((bits, bit) => bits | bit, READABLE);
const UNKNOWN_NAMES: Readonly<Record<number, string>> = {
  1: 'compression',
  8: 'a journal by itself (journal_dev)',
  4096: 'dirdata',
};
const RO_COMPAT = {
  sparseSuper: 1,
  hugeFile: 8,
  gdtChecksum: 0x10,
  bigalloc: 0x200,
  metadataChecksum: 0x400,
};
const COMPAT = { hasJournal: 4, sparseSuper2: 0x200 };

/** What the superblock says. Places and counts in blocks unless said. */
export interface Superblock {
  readonly bytes: Buffer;
  readonly blockSize: number;
  readonly blocks: number;
  readonly reserved: number;
  readonly firstBlock: number;
  readonly blocksPerGroup: number;
  readonly inodes: number;
  readonly inodesPerGroup: number;
  readonly inodeSize: number;
  readonly descriptorSize: number;
  readonly groups: number;
  /** Groups whose descriptors lie in themselves begin with this one of their kind, if any do. */
  readonly firstMetaGroup: number | undefined;
  readonly reservedDescriptors: number;
  readonly journalInode: number;
  readonly needsRecovery: boolean;
  readonly hugeFiles: boolean;
  readonly hasExtents: boolean;
  readonly clusterBlocks: number;
  readonly groupChecksum: 'crc16' | 'crc32c' | undefined;
  /** Structures have a CRC-32C that begins with this; undefined: they have none. */
  readonly seed: number | undefined;
  readonly uuid: Buffer;
  readonly label: string;
  /** ext2, ext3 or ext4, as blkid tells them apart. */
  readonly type: string;
  hasSuperblock(group: number): boolean;
}

/** Whether 1024 bytes are one. */
export function isSuperblock(bytes: Buffer): boolean {
  return bytes.length === SUPERBLOCK.length && bytes.readUInt16LE(56) === 0xef53;
}

/** @throws BlockError EIO damaged; ENOTSUP features that are not known. */
export function readSuperblock(bytes: Buffer): Superblock {
  const bad = (why: string) => damaged('ext: superblock', why);
  if (!isSuperblock(bytes)) throw bad('its magic number is missing');
  const u32 = (at: number) => bytes.readUInt32LE(at);
  const [compat, incompat, readOnly] = [u32(92), u32(96), u32(100)];
  const has = (bit: number) => (readOnly & bit) !== 0;
  if (u32(76) > 0) refuse(incompat);
  const checksums = has(RO_COMPAT.metadataChecksum);
  if (checksums && crc32c(~0, bytes.subarray(0, 1020)) !== u32(1020))
    throw bad('its checksum is wrong');
  if (u32(24) > 6 || u32(28) > 16) throw bad('the size of a block is past 64 KiB');
  const blockSize = 1024 << u32(24);
  const is64bit = (incompat & INCOMPAT.is64bit) !== 0;
  const wide = (low: number, high: number) => u32(low) + (is64bit ? u32(high) * 2 ** 32 : 0);
  const dynamic = u32(76) > 0;
  const inodeSize = dynamic ? bytes.readUInt16LE(88) : 128;
  const descriptorSize = is64bit ? bytes.readUInt16LE(254) : 32;
  const [blocks, firstBlock, blocksPerGroup, inodesPerGroup] = [
    wide(4, 336),
    u32(20),
    u32(32),
    u32(40),
  ];
  if (inodeSize < 128 || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0) {
    throw bad(`an inode of ${inodeSize} bytes`);
  }
  if (descriptorSize < 32 || descriptorSize > blockSize)
    throw bad(`a group descriptor of ${descriptorSize} bytes`);
  if (!Number.isSafeInteger(blocks * blockSize)) throw bad(`${blocks} blocks`);
  if (blocksPerGroup < FEWEST_IN_GROUP || blocksPerGroup > blockSize * 8 * 65536)
    throw bad('the number of blocks of a group');
  if (inodesPerGroup === 0 || inodesPerGroup > blockSize * 8)
    throw bad('the number of inodes of a group');
  if (firstBlock >= blocks) throw bad('the first block is past the last');
  const groups = Math.ceil((blocks - firstBlock) / blocksPerGroup);
  if (groups > MOST_GROUPS) throw bad(`${groups} groups`);
  if (groups * inodesPerGroup < u32(0)) throw bad(`${u32(0)} inodes`);
  const uuid = bytes.subarray(104, 120);
  const seed = incompat & INCOMPAT.checksumSeed ? u32(0x270) : crc32c(~0, uuid);
  return {
    bytes,
    blockSize,
    blocks,
    reserved: wide(8, 340),
    firstBlock,
    blocksPerGroup,
    inodes: u32(0),
    inodesPerGroup,
    inodeSize,
    descriptorSize,
    groups,
    firstMetaGroup: incompat & INCOMPAT.metaBg ? u32(260) : undefined,
    reservedDescriptors: bytes.readUInt16LE(206),
    journalInode: compat & COMPAT.hasJournal ? u32(224) : 0,
    needsRecovery: (incompat & INCOMPAT.recover) !== 0,
    hugeFiles: has(RO_COMPAT.hugeFile),
    hasExtents: (incompat & INCOMPAT.extents) !== 0,
    clusterBlocks: has(RO_COMPAT.bigalloc) ? 2 ** (u32(28) - u32(24)) : 1,
    groupChecksum: checksums ? 'crc32c' : has(RO_COMPAT.gdtChecksum) ? 'crc16' : undefined,
    seed: checksums ? seed : undefined,
    uuid,
    label: textAt(bytes, 120, 16),
    type: typeOf(compat, incompat, readOnly),
    hasSuperblock: superblockPlaces(bytes, compat, has(RO_COMPAT.sparseSuper)),
  };
}

function refuse(incompat: number): void {
  const unknown = incompat & ~KNOWN;
  if (unknown === 0) return;
  const bit = unknown & -unknown;
  throw unsupported('ext', UNKNOWN_NAMES[bit] ?? `the feature 0x${(bit >>> 0).toString(16)}`);
}

/** ext3 knows no more than file types, recovery, meta_bg, sparse_super, large_file and btree_dir. */
function typeOf(compat: number, incompat: number, readOnly: number): string {
  if (incompat & ~0x16 || readOnly & ~7) return 'ext4';
  return compat & COMPAT.hasJournal ? 'ext3' : 'ext2';
}

function superblockPlaces(bytes: Buffer, compat: number, sparse: boolean) {
  if (compat & COMPAT.sparseSuper2) {
    const backups = [0, bytes.readUInt32LE(0x24c), bytes.readUInt32LE(0x250)];
    return (group: number) => backups.includes(group);
  }
  return (group: number) => !sparse || group <= 1 || [3, 5, 7].some(base => isPower(group, base));
}

function isPower(value: number, base: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}

/** Text that ends with a zero or the field. */
function textAt(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return nameOf(end < 0 ? field : field.subarray(0, end));
}

/** What the checksums of the structures of an inode begin with. */
export function inodeSeed(seed: number, inode: number, generation: number): number {
  return crc32cOfWord(crc32cOfWord(seed, inode), generation);
}
