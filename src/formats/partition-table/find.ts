import { alignedDevice } from '../../block/aligned.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { type MbrEntry, mbrEntries, SECTOR } from './mbr.ts';

/** Where a partition is, in bytes, and in which kind of table it stands. */
export interface Found {
  readonly kind: 'MBR' | 'GPT';
  readonly start: bigint;
  readonly size: bigint;
}

export interface FindOptions extends RequestOptions {
  /** Bytes of a sector: 512 unless told; 4096 for GPT on such disks. */
  readonly sector?: number;
}

export const GPT_SIGNATURE = 'EFI PART';
const GPT_AT_LEAST = 68n;
export const ENTRY_AT_LEAST = 128;
export const NO_TYPE = Buffer.alloc(16);
const EXTENDED_TYPES = [0x05, 0x0f, 0x85];

/**
 * A partition by its number, counted from 1; logical ones of an MBR from 5.
 * @throws BlockError EIO when there is no table or no such partition, or it is not on the disk.
 */
export async function findPartition(
  disk: BlockDevice,
  number: number,
  { sector = SECTOR, signal }: FindOptions = {},
): Promise<Found> {
  const { size } = disk;
  const bytes = alignedDevice(disk);
  const read = async (offset: bigint, length: number) =>
    Buffer.from(contiguous(await bytes.read(offset, length, { signal })));
  if (size < 2 * sector) throw bad('disk is too small to be a partitioned disk');
  const start = await read(0n, sector * 2);
  const header = start.subarray(sector);
  const isGpt =
    size >= GPT_AT_LEAST * BigInt(sector) && header.toString('latin1', 0, 8) === GPT_SIGNATURE;
  if (!isGpt && start.readUInt16LE(SECTOR - 2) !== 0xaa55) {
    throw bad('disk does not contain MBR or GPT partition table signature');
  }
  const found = isGpt
    ? await findInGpt(header, number, { sector, size, read })
    : await findInMbr(start, number, { sector: SECTOR, size, read });
  if (found.size < 0n || found.start + found.size > size)
    throw bad('partition is outside the disk');
  return found;
}

/** A disk as its tables see it. */
interface Disk {
  readonly sector: number;
  readonly size: bigint;
  read(offset: bigint, length: number): Promise<Buffer>;
}

async function findInGpt(header: Buffer, number: number, disk: Disk): Promise<Found> {
  const sector = BigInt(disk.sector);
  const entriesAt = header.readBigUInt64LE(72) * sector;
  const count = header.readUInt32LE(80);
  const entrySize = header.readUInt32LE(84);
  if (number > count) throw bad(`GPT partition number out of range: there are ${count}`);
  if (entrySize < ENTRY_AT_LEAST) throw bad('GPT partition entry size is < 128 bytes');
  const table = BigInt(count) * BigInt(entrySize);
  if (entriesAt + table > disk.size) throw bad('GPT partition table is too large for this disk');
  const entry = await disk.read(entriesAt + BigInt(entrySize) * BigInt(number - 1), ENTRY_AT_LEAST);
  if (entry.subarray(0, 16).equals(NO_TYPE)) throw bad(`GPT partition ${number} not found`);
  const start = entry.readBigUInt64LE(32);
  const last = entry.readBigUInt64LE(40);
  return { kind: 'GPT', start: start * sector, size: (last - start + 1n) * sector };
}

async function findInMbr(start: Buffer, number: number, disk: Disk): Promise<Found> {
  const entries = mbrEntries(start);
  if (number > entries.length) return await findLogical(entries.find(isExtended), number, disk);
  const entry = entries[number - 1]!;
  if (entry.sectors === 0n || entry.type === 0 || isExtended(entry)) {
    throw bad(`MBR partition ${number} not found`);
  }
  return inBytes(entry, 0n, disk);
}

/** Follows the chain in the extended partition, which only leads forward. */
async function findLogical(
  extended: MbrEntry | undefined,
  number: number,
  disk: Disk,
): Promise<Found> {
  if (!extended) {
    const words = 'MBR logical partition selected';
    throw bad(`${words}, but there is no extended partition in the partition table`);
  }
  const end = extended.start + extended.sectors;
  for (let at = extended.start, logical = 5; ; logical++) {
    const place = at * BigInt(disk.sector);
    if (at < 1n || place + BigInt(disk.sector) > disk.size) {
      throw bad('invalid EBR chain: next EBR boot sector is located outside disk boundary');
    }
    const [entry, next] = mbrEntries(await disk.read(place, disk.sector));
    if (logical === number) {
      if (entry!.start === 0n || at + entry!.start + entry!.sectors > end) {
        throw bad('logical partition start or size out of range');
      }
      return inBytes(entry!, at, disk);
    }
    if (next!.start === 0n && next!.sectors === 0n) throw bad(`MBR partition ${number} not found`);
    const following = extended.start + next!.start;
    if (following <= at) {
      throw bad(`invalid EBR chain: next EBR ${following} <= current EBR ${at}`);
    }
    at = following;
  }
}

/** Whether an entry holds more partitions. */
export function isExtended({ sectors, type }: MbrEntry): boolean {
  return sectors > 0n && EXTENDED_TYPES.includes(type);
}

function inBytes({ start, sectors }: MbrEntry, base: bigint, { sector }: Disk): Found {
  const bytes = BigInt(sector);
  return { kind: 'MBR', start: (base + start) * bytes, size: sectors * bytes };
}

function bad(words: string): BlockError {
  return new BlockError('EIO', words);
}
