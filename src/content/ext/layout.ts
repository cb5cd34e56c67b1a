import type { Contents } from './contents.ts';

/** The measures of a file system. */
export interface Layout {
  /** Bytes; a multiple of the block size. */
  readonly size: number;
  readonly blockSize: number;
  readonly inodes: number;
}

const MiB = 1 << 20;
const BLOCK = 4096;
const INODE = 256;
/** Superblock, bitmaps, group descriptors with room to grow, lost+found: blocks. */
const FIXED = 100;
const SPARE_INODES = 64;
/** One more inode for so many bytes that are free. */
const BYTES_PER_INODE = 16384;
/** Part of the blocks that mke2fs keeps for root, and of the data that indirect blocks take. */
const RESERVED = 0.05;
const INDIRECT = 0.01;

/** A file system of about that size in bytes, with the blocks that suit it unless told. */
export function layoutOf(
  bytes: number,
  { inodes, blocks }: Contents,
  blockSize = bytes < 4 * MiB ? 1024 : BLOCK,
): Layout {
  const free = Math.max(0, bytes - blocks * BLOCK);
  return {
    size: Math.ceil(bytes / blockSize) * blockSize,
    blockSize,
    inodes: inodes + SPARE_INODES + Math.ceil(free / BYTES_PER_INODE),
  };
}

/** Bytes of a file system that holds the contents and has so many bytes free. */
export function estimate({ inodes, blocks }: Contents, type: string, free: number): number {
  const data = (blocks * (1 + INDIRECT) + FIXED) * BLOCK;
  const table = (inodes + SPARE_INODES + free / BYTES_PER_INODE) * INODE;
  const bytes = (data + table + free) / (1 - RESERVED - INDIRECT);
  return Math.ceil(bytes + (type === 'ext2' ? 0 : journalFor(bytes)));
}

/** At least what mke2fs gives to the journal. */
function journalFor(bytes: number): number {
  return bytes < 96 * MiB ? 8 * MiB : 16 * MiB + bytes / 32;
}
