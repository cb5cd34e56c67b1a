import { crc32c } from '../../../block/crc32c.ts';
import { damaged, unsupported } from '../damaged.ts';
import { nameOf } from '../names.ts';
import { uuidText } from '../uuid.ts';

/** Bytes that hold all of it; the checksum is that of a sector. */
export const SUPERBLOCK = 512;
const MAGIC = 'XFSB';
const INCOMPAT = { fileType: 1, needsRepair: 0x10 } as const;
/** fileType, sparse inodes, meta_uuid, bigtime, 64-bit counts of extents, exchange, parent pointers. */
const KNOWN = 0xef;
const MORE_BITS = 0x8000;
const FILE_TYPE_2 = 0x200;
const LONGEST_SECTOR = 32768;

/** Numbers of blocks and inodes within an allocation group are in the lower bits of those that count. */
export interface Superblock {
  readonly bytes: Buffer;
  readonly blockSize: number;
  readonly blocks: number;
  readonly sectorSize: number;
  readonly groupBlocks: number;
  readonly groups: number;
  readonly groupBits: number;
  readonly inodeSize: number;
  readonly inodesPerBlock: number;
  /** Bits of the number of an inode within its block. */
  readonly inodeBits: number;
  readonly rootInode: bigint;
  readonly directoryBlockSize: number;
  /** Version 5: structures have checksums. */
  readonly checksums: boolean;
  /** Entries of directories say what they are of. */
  readonly fileTypes: boolean;
  /** 0: it is on another disk. */
  readonly logStart: bigint;
  readonly logBlocks: number;
  readonly label: string;
  readonly uuid: string | undefined;
}

export function isSuperblock(start: Buffer): boolean {
  return start.length >= SUPERBLOCK && start.toString('latin1', 0, 4) === MAGIC;
}

/** @param sector with the superblock at its start. @throws BlockError EIO, ENOTSUP */
export function readSuperblock(sector: Buffer): Superblock {
  const bad = (why: string) => damaged('xfs: superblock', why);
  if (!isSuperblock(sector)) throw bad('its magic number is missing');
  const u32 = (at: number) => sector.readUInt32BE(at);
  const u16 = (at: number) => sector.readUInt16BE(at);
  const version = u16(100) & 15;
  if (version !== 4 && version !== 5) throw unsupported('xfs', `version ${version}`);
  const checksums = version === 5;
  if (checksums) {
    if (checksumOf(sector, 224) !== sector.readUInt32LE(224)) throw bad('its checksum is wrong');
    refuse(u32(216));
  }
  const [blockSize, inodeSize, groupBlocks, groups] = [u32(4), u16(104), u32(84), u32(88)];
  const [blockBits, inodeBits, groupBits, directoryBits] = [
    sector[120]!,
    sector[123]!,
    sector[124]!,
    sector[192]!,
  ];
  if (blockSize !== 2 ** blockBits || blockSize < 512 || blockSize > 65536)
    throw bad(`blocks of ${blockSize} bytes`);
  if (inodeSize < 256 || inodeSize > 2048 || inodeSize * 2 ** inodeBits !== blockSize) {
    throw bad(`inodes of ${inodeSize} bytes`);
  }
  const blocks = Number(sector.readBigUInt64BE(8));
  if (groups === 0 || groupBits > 31 || groupBlocks > 2 ** groupBits || groupBlocks === 0) {
    throw bad(`groups of ${groupBlocks} blocks`);
  }
  if (!(blocks <= groups * groupBlocks) || !Number.isSafeInteger(blocks * blockSize))
    throw bad(`${blocks} blocks`);
  if (blockSize * 2 ** directoryBits > 65536)
    throw bad('the blocks of directories are past 64 KiB');
  const label = sector.subarray(108, 120);
  const end = label.indexOf(0);
  return {
    bytes: sector,
    blockSize,
    blocks,
    sectorSize: u16(102),
    groupBlocks,
    groups,
    groupBits,
    inodeSize,
    inodesPerBlock: 2 ** inodeBits,
    inodeBits,
    rootInode: sector.readBigUInt64BE(56),
    directoryBlockSize: blockSize * 2 ** directoryBits,
    checksums,
    fileTypes: checksums
      ? (u32(216) & INCOMPAT.fileType) !== 0
      : (u16(100) & MORE_BITS) !== 0 && (u32(200) & FILE_TYPE_2) !== 0,
    logStart: sector.readBigUInt64BE(48),
    logBlocks: u32(96),
    label: nameOf(end < 0 ? label : label.subarray(0, end)),
    uuid: uuidText(sector.subarray(32, 48)),
  };
}

/** The size of a sector, as far as it can be one. */
export function sectorSizeOf(start: Buffer): number {
  const size = start.readUInt16BE(102);
  const fits = size >= SUPERBLOCK && size <= LONGEST_SECTOR && (size & (size - 1)) === 0;
  if (!fits) throw damaged('xfs: superblock', `sectors of ${size} bytes`);
  return size;
}

function refuse(incompat: number): void {
  if (incompat & INCOMPAT.needsRepair)
    throw unsupported('xfs', 'a file system that needs xfs_repair');
  const unknown = incompat & ~KNOWN;
  if (unknown !== 0) throw unsupported('xfs', `the feature 0x${(unknown & -unknown).toString(16)}`);
}

/** The sum of a structure in which its own four bytes, at `field`, count as zeroes. */
export function checksumOf(bytes: Buffer, field: number): number {
  const before = crc32c(0xffffffff, bytes.subarray(0, field));
  return ~crc32c(crc32c(before, Buffer.alloc(4)), bytes.subarray(field + 4)) >>> 0;
}

/** The place of a block that is counted by group, in bytes. @throws BlockError EIO */
export function placeOf(superblock: Superblock, block: bigint, what: string, count = 1): number {
  const { groupBits, groupBlocks, groups, blockSize, blocks } = superblock;
  const group = Number(block >> BigInt(groupBits));
  const inside = Number(block & ((1n << BigInt(groupBits)) - 1n));
  const at = group * groupBlocks + inside;
  if (group >= groups || inside + count > groupBlocks || at + count > blocks) {
    throw damaged(what, `block ${block} is outside of the file system`);
  }
  return at * blockSize;
}
