import { createHash } from 'node:crypto';
import { crc32c } from '../../../block/crc32c.ts';
import { damaged, unsupported } from '../damaged.ts';
import { nameOf } from '../names.ts';
import { uuidText } from '../uuid.ts';

export const SUPERBLOCK = { offset: 65536, length: 4096 } as const;
const MAGIC = '_BHRfS_M';
/** Bits of the features that whoever reads has to know; up to raid1c34 and what came with it. */
const KNOWN = 0x1fff;
/** Trees of extents of a second form, and of stripes, change where things lie. */
const CHECKSUMS = ['crc32c', 'xxhash64', 'sha256', 'blake2b'] as const;

/** Places are logical addresses, in bytes. */
export interface Superblock {
  readonly fsid: Buffer;
  readonly generation: bigint;
  readonly root: bigint;
  readonly rootLevel: number;
  readonly chunkRoot: bigint;
  readonly chunkRootLevel: number;
  readonly logRoot: bigint;
  readonly totalBytes: bigint;
  readonly usedBytes: bigint;
  readonly sectorSize: number;
  readonly nodeSize: number;
  readonly devices: number;
  readonly device: bigint;
  /** Chunks that one has to know to read the others. */
  readonly systemChunks: Buffer;
  readonly label: string;
  readonly uuid: string | undefined;
  readonly checksum: (typeof CHECKSUMS)[number];
}

export function isSuperblock(bytes: Buffer): boolean {
  return bytes.length === SUPERBLOCK.length && bytes.toString('latin1', 64, 72) === MAGIC;
}

/** @throws BlockError EIO, ENOTSUP */
export function readSuperblock(bytes: Buffer): Superblock {
  const bad = (why: string) => damaged('btrfs: superblock', why);
  if (!isSuperblock(bytes)) throw bad('its magic number is missing');
  const u64 = (at: number) => bytes.readBigUInt64LE(at);
  const u32 = (at: number) => bytes.readUInt32LE(at);
  const checksum = CHECKSUMS[bytes.readUInt16LE(196)];
  if (!checksum) throw unsupported('btrfs', `the checksum ${bytes.readUInt16LE(196)}`);
  if (!isSummed(bytes, checksum)) throw bad('its checksum is wrong');
  const unknown = u64(188) & ~BigInt(KNOWN);
  if (unknown !== 0n)
    throw unsupported('btrfs', `the feature 0x${(unknown & -unknown).toString(16)}`);
  const [sectorSize, nodeSize, systemLength] = [u32(144), u32(148), u32(160)];
  const isPower = (size: number) => (size & (size - 1)) === 0;
  if (!isPower(sectorSize) || sectorSize < 4096 || sectorSize > 65536)
    throw bad(`sectors of ${sectorSize} bytes`);
  if (!isPower(nodeSize) || nodeSize < 4096 || nodeSize > 65536)
    throw bad(`nodes of ${nodeSize} bytes`);
  if (systemLength > 2048) throw bad(`${systemLength} bytes of chunks`);
  const label = bytes.subarray(299, 299 + 256);
  const end = label.indexOf(0);
  return {
    fsid: bytes.subarray(32, 48),
    generation: u64(72),
    root: u64(80),
    chunkRoot: u64(88),
    logRoot: u64(96),
    totalBytes: u64(112),
    usedBytes: u64(120),
    devices: Number(u64(136)),
    sectorSize,
    nodeSize,
    rootLevel: bytes[198]!,
    chunkRootLevel: bytes[199]!,
    device: u64(201),
    systemChunks: bytes.subarray(811, 811 + systemLength),
    label: nameOf(end < 0 ? label : label.subarray(0, end)),
    uuid: uuidText(bytes.subarray(32, 48)),
    checksum,
  };
}

/** Whether the sum at the start of a structure is that of what follows its 32 bytes. */
export function isSummed(bytes: Buffer, checksum: Superblock['checksum']): boolean {
  return sumMatches(checksum, bytes.subarray(32), bytes.subarray(0, 32));
}

/** Bytes of the checksums of data. */
export const SUM_LENGTHS: Readonly<Record<Superblock['checksum'], number>> = {
  crc32c: 4,
  xxhash64: 8,
  sha256: 32,
  blake2b: 32,
};

/** Whether that is the checksum of some bytes; it may be longer. */
export function sumMatches(checksum: Superblock['checksum'], bytes: Buffer, sum: Buffer): boolean {
  if (checksum === 'crc32c') return ~crc32c(0xffffffff, bytes) >>> 0 === sum.readUInt32LE(0);
  if (checksum === 'sha256') return createHash('sha256').update(bytes).digest().equals(sum);
  // Of the others Node has none: what is damaged otherwise is seen all the same.
  return true;
}
