import { crc32 } from 'node:zlib';
import { alignedDevice } from '../../block/aligned.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { ENTRY_AT_LEAST, GPT_SIGNATURE, isExtended, NO_TYPE } from './find.ts';
import { type MbrEntry, mbrEntries, SECTOR } from './mbr.ts';

/** A partition of a table. Places in bytes. */
export interface Partition {
  readonly kind: 'MBR' | 'GPT';
  /** From 1; logical ones of an MBR from 5. */
  readonly number: number;
  readonly start: bigint;
  /** Cut to the end of the disk. */
  readonly size: bigint;
  /** The type byte of an MBR. */
  readonly mbrType?: number;
}

type Read = (offset: bigint, length: number) => Promise<Buffer>;

const SECTOR_SIZES = [512, 4096] as const;
/** Bytes of the entries of a GPT; as long as there are no more than the kernel reads. */
const LONGEST_TABLE = 1 << 20;
/** Logical partitions of a chain, which is longer only where it leads astray. */
const MOST_LOGICAL = 128;

/**
 * The partitions of a disk as the kernel finds them: those of a GPT, of its second table where the
 * first is damaged; else those of an MBR with the logical ones. Nothing where there is no table.
 * @throws BlockError of the device.
 */
export async function listPartitions(
  disk: BlockDevice,
  options?: RequestOptions,
): Promise<readonly Partition[]> {
  const { size } = disk;
  if (size < BigInt(2 * SECTOR)) return [];
  const bytes = alignedDevice(disk);
  const read: Read = async (offset, length) =>
    Buffer.from(contiguous(await bytes.read(offset, length, options)));
  const start = await read(0n, SECTOR);
  if (start.readUInt16LE(SECTOR - 2) !== 0xaa55) return gptPartitions(size, read);
  const gpt = await gptPartitions(size, read);
  const found = gpt.length > 0 ? gpt : await mbrPartitions(start, size, read);
  return found.flatMap(partition => cutToDisk(partition, size));
}

function cutToDisk(partition: Partition, size: bigint): Partition[] {
  const { start } = partition;
  if (start >= size || partition.size <= 0n) return [];
  const end = start + partition.size;
  return [end > size ? { ...partition, size: size - start } : partition];
}

async function gptPartitions(size: bigint, read: Read): Promise<Partition[]> {
  for (const sector of SECTOR_SIZES) {
    const places = [BigInt(sector), (size / BigInt(sector) - 1n) * BigInt(sector)];
    for (const place of places) {
      const found = await gptAt(place, sector, size, read);
      if (found) return found;
    }
  }
  return [];
}

/** The partitions of a header whose checksums are right. */
async function gptAt(
  place: bigint,
  sector: number,
  size: bigint,
  read: Read,
): Promise<Partition[] | undefined> {
  if (place < 0n || place + BigInt(sector) > size) return undefined;
  const header = await read(place, sector);
  const length = header.readUInt32LE(12);
  if (header.toString('latin1', 0, 8) !== GPT_SIGNATURE) return undefined;
  if (length < 92 || length > sector) return undefined;
  const summed = Buffer.from(header.subarray(0, length));
  summed.writeUInt32LE(0, 16);
  if (crc32(summed) !== header.readUInt32LE(16)) return undefined;
  const at = header.readBigUInt64LE(72) * BigInt(sector);
  const [count, entrySize] = [header.readUInt32LE(80), header.readUInt32LE(84)];
  const bytes = count * entrySize;
  if (entrySize < ENTRY_AT_LEAST || bytes === 0 || bytes > LONGEST_TABLE) return undefined;
  if (at + BigInt(bytes) > size) return undefined;
  const table = await read(at, bytes);
  if (crc32(table) !== header.readUInt32LE(88)) return undefined;
  const found: Partition[] = [];
  for (let index = 0; index < count; index++) {
    const entry = table.subarray(index * entrySize);
    if (entry.subarray(0, 16).equals(NO_TYPE)) continue;
    const [first, last] = [entry.readBigUInt64LE(32), entry.readBigUInt64LE(40)];
    const start = first * BigInt(sector);
    found.push({
      kind: 'GPT',
      number: index + 1,
      start,
      size: (last - first + 1n) * BigInt(sector),
    });
  }
  return found;
}

async function mbrPartitions(start: Buffer, size: bigint, read: Read): Promise<Partition[]> {
  const entries = mbrEntries(start);
  if (!entries.every((_, index) => isStatus(start[446 + 16 * index]!))) return [];
  const found: Partition[] = [];
  for (const [index, entry] of entries.entries()) {
    if (entry.sectors > 0n && entry.type !== 0) found.push(partition(index + 1, 0n, entry));
  }
  const extended = entries.find(isExtended);
  return extended ? [...found, ...(await logicalPartitions(extended, size, read))] : found;
}

/** Of a sector that begins with code of another kind these bytes are something else. */
const isStatus = (byte: number) => byte === 0 || byte === 0x80;

/** The chain in an extended partition; it ends where it is damaged or leads back. */
async function logicalPartitions(
  extended: MbrEntry,
  size: bigint,
  read: Read,
): Promise<Partition[]> {
  const found: Partition[] = [];
  for (let at = extended.start; found.length < MOST_LOGICAL; ) {
    const place = at * BigInt(SECTOR);
    if (place + BigInt(SECTOR) > size) break;
    const sector = await read(place, SECTOR);
    if (sector.readUInt16LE(SECTOR - 2) !== 0xaa55) break;
    const [entry, next] = mbrEntries(sector);
    if (entry!.sectors > 0n) found.push(partition(5 + found.length, at, entry!));
    const following = extended.start + next!.start;
    if (!isExtended(next!) || following <= at) break;
    at = following;
  }
  return found;
}

function partition(number: number, base: bigint, { start, sectors, type }: MbrEntry): Partition {
  const unit = BigInt(SECTOR);
  const place = { start: (base + start) * unit, size: sectors * unit };
  return { kind: 'MBR', number, ...place, mbrType: type };
}
