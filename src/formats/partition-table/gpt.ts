import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { MBR_LIMIT, mbrSector, PROTECTIVE, SECTOR } from './mbr.ts';

/** Places and sizes in sectors. */
export interface GptPartition {
  readonly start: bigint;
  readonly sectors: bigint;
  /** As text: 0FC63DAF-8483-4772-8E79-3D69D8477DE4. */
  readonly type: string;
  readonly guid: string;
  /** Cut to 36 UTF-16 units. */
  readonly name: string;
  readonly bootable?: boolean;
}

/** The partition type of Linux file systems. */
export const LINUX_FILESYSTEM = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';

const ENTRY = 128;
const ENTRIES_AT_LEAST = 128;
const HEADER = 92;
const LEGACY_BOOTABLE = 4n;

/** Sectors of the partition entries: room for 128 partitions, or the next multiple of it. */
function entrySectors(partitions: number): bigint {
  return BigInt((entryCount(partitions) * ENTRY) / SECTOR);
}

function entryCount(partitions: number): number {
  return Math.max(1, Math.ceil(partitions / ENTRIES_AT_LEAST)) * ENTRIES_AT_LEAST;
}

/** The first sector that partitions may use. */
export function firstUsable(partitions: number): bigint {
  return 2n + entrySectors(partitions);
}

/** Sectors of the copy of the table at the end of the disk. */
export function backupSectors(partitions: number): bigint {
  return entrySectors(partitions) + 1n;
}

/**
 * A partition table for a disk of `sectors` sectors.
 * @returns what belongs at the start of the disk, with the protective MBR, and at its end.
 */
export function gptTables(
  partitions: readonly GptPartition[],
  sectors: bigint,
  diskGuid: string,
): { primary: Buffer; backup: Buffer } {
  const entries = Buffer.alloc(entryCount(partitions.length) * ENTRY);
  for (const [index, partition] of partitions.entries()) {
    writeEntry(entries.subarray(index * ENTRY, (index + 1) * ENTRY), partition);
  }
  const last = sectors - 1n;
  const header = (own: bigint, other: bigint, entriesAt: bigint) => {
    const bytes = Buffer.alloc(SECTOR);
    bytes.write('EFI PART', 'latin1');
    bytes.writeUInt32LE(0x00010000, 8);
    bytes.writeUInt32LE(HEADER, 12);
    bytes.writeBigUInt64LE(own, 24);
    bytes.writeBigUInt64LE(other, 32);
    bytes.writeBigUInt64LE(firstUsable(partitions.length), 40);
    bytes.writeBigUInt64LE(last - backupSectors(partitions.length), 48);
    guidBytes(diskGuid).copy(bytes, 56);
    bytes.writeBigUInt64LE(entriesAt, 72);
    bytes.writeUInt32LE(entries.length / ENTRY, 80);
    bytes.writeUInt32LE(ENTRY, 84);
    bytes.writeUInt32LE(crc32(entries), 88);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER)), 16);
    return bytes;
  };
  const covered = last < MBR_LIMIT ? last : MBR_LIMIT;
  return {
    primary: Buffer.concat([
      mbrSector([{ start: 1n, sectors: covered, type: PROTECTIVE }]),
      header(1n, last, 2n),
      entries,
    ]),
    backup: Buffer.concat([entries, header(last, 1n, last - entrySectors(partitions.length))]),
  };
}

function writeEntry(entry: Buffer, { start, sectors, ...partition }: GptPartition): void {
  guidBytes(partition.type).copy(entry, 0);
  guidBytes(partition.guid).copy(entry, 16);
  entry.writeBigUInt64LE(start, 32);
  entry.writeBigUInt64LE(start + sectors - 1n, 40);
  entry.writeBigUInt64LE(partition.bootable ? LEGACY_BOOTABLE : 0n, 48);
  entry.write(partition.name, 56, 72, 'utf16le');
}

const GUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** The GUID without braces; undefined when the text is none. */
export function parseGuid(text: string): string | undefined {
  const bare = /^\{(.*)\}$/.exec(text)?.[1] ?? text;
  return GUID.test(bare) ? bare : undefined;
}

/** As it stands on the disk: the first three groups little-endian. */
function guidBytes(guid: string): Buffer {
  const bytes = Buffer.from(guid.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).swap32();
  bytes.subarray(4, 8).swap16();
  return bytes;
}

/** A GUID that is always the same for the same words, so that a disk keeps its names. */
export function guidFor(...words: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(words)).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  const groups = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return [...groups, hex.slice(20, 32)].join('-').toUpperCase();
}
