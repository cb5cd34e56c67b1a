import { damaged, unsupported } from '../damaged.ts';
import type { Compression } from '../decompress.ts';

export const SUPERBLOCK = 96;
const MAGIC = 0x73717368;
const COMPRESSIONS: readonly (Compression | undefined)[] = [
  undefined,
  'zlib',
  'lzma',
  'lzo',
  'xz',
  'lz4',
  'zstd',
];

/** Places in bytes. */
export interface Superblock {
  readonly inodes: number;
  readonly mtime: number;
  readonly blockSize: number;
  readonly fragments: number;
  readonly compression: Compression;
  readonly ids: number;
  /** Where the inode of the root directory is: block of the inode table and offset in it. */
  readonly root: bigint;
  readonly size: number;
  readonly idTable: number;
  readonly inodeTable: number;
  readonly directoryTable: number;
  readonly fragmentTable: number;
}

export function isSquashfs(start: Buffer): boolean {
  return (
    start.length >= SUPERBLOCK && start.readUInt32LE(0) === MAGIC && start.readUInt16LE(28) === 4
  );
}

/** @throws BlockError EIO, ENOTSUP */
export function readSuperblock(bytes: Buffer, deviceSize: number): Superblock {
  const bad = (why: string) => damaged('squashfs: superblock', why);
  const u64 = (at: number) => Number(bytes.readBigUInt64LE(at));
  const blockSize = bytes.readUInt32LE(12);
  if (blockSize < 4096 || blockSize > 1 << 20 || blockSize !== 2 ** bytes.readUInt16LE(22)) {
    throw bad(`blocks of ${blockSize} bytes`);
  }
  const compression = COMPRESSIONS[bytes.readUInt16LE(20)];
  if (!compression) throw unsupported('squashfs', `compression ${bytes.readUInt16LE(20)}`);
  const size = u64(40);
  if (size > deviceSize) throw bad(`it has ${size} bytes, and the disk ${deviceSize}`);
  return {
    inodes: bytes.readUInt32LE(4),
    mtime: bytes.readUInt32LE(8),
    blockSize,
    fragments: bytes.readUInt32LE(16),
    compression,
    ids: bytes.readUInt16LE(26),
    root: bytes.readBigUInt64LE(32),
    size,
    idTable: u64(48),
    inodeTable: u64(64),
    directoryTable: u64(72),
    fragmentTable: u64(80),
  };
}
