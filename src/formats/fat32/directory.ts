import { UsageError } from '../../block/errors.ts';
import { DirectoryNames, longNameEntries } from './names.ts';
import type { FatTimes } from './tree.ts';

const ENTRY = 32;
const MOST_ENTRIES = 65536;
const DIRECTORY = 0x10;
const ARCHIVE = 0x20;
const VOLUME = 0x08;

/** An entry of a directory; a file without contents has cluster 0. */
export interface EntryOf {
  readonly name: string;
  readonly times: FatTimes;
  readonly cluster: number;
  /** Bytes of a file; undefined: a directory. */
  readonly size: number | undefined;
}

/** What a directory begins with: its own entries, or in the root directory the label. */
export type Head =
  | { readonly label: string; readonly times: FatTimes }
  | { readonly own: number; readonly parent: number; readonly times: FatTimes };

/**
 * The bytes of a directory. Its length does not depend on the clusters.
 * @param where its path, for errors.
 * @throws UsageError
 */
export function directoryBytes(where: string, head: Head, entries: readonly EntryOf[]): Buffer {
  const names = new DirectoryNames(where);
  const parts = [headBytes(head)];
  for (const entry of entries) {
    const { short, long } = names.add(entry.name);
    if (long !== undefined) parts.push(longNameEntries(long, short));
    parts.push(entryBytes(short, entry));
  }
  const bytes = Buffer.concat(parts);
  if (bytes.length > MOST_ENTRIES * ENTRY) {
    throw new UsageError(`'${where}': too many files for one directory on FAT`);
  }
  return bytes;
}

function headBytes(head: Head): Buffer {
  if ('label' in head) {
    const short = labelBytes(head.label);
    return entryBytes(short, { ...head, cluster: 0, size: 0 }, VOLUME);
  }
  const { times } = head;
  return Buffer.concat([
    entryBytes(Buffer.from('.          '), { times, cluster: head.own, size: undefined }),
    entryBytes(Buffer.from('..         '), { times, cluster: head.parent, size: undefined }),
  ]);
}

/** A volume label in 11 bytes. */
export function labelBytes(label: string): Buffer {
  return Buffer.from(label.padEnd(11), 'latin1');
}

function entryBytes(
  short: Buffer,
  { times, cluster, size }: Omit<EntryOf, 'name'>,
  attributes = size === undefined ? DIRECTORY : ARCHIVE,
): Buffer {
  const entry = Buffer.alloc(ENTRY);
  short.copy(entry);
  entry[11] = attributes;
  const created = fatTime(times.created);
  const modified = fatTime(times.modified);
  entry[13] = created.hundredths;
  entry.writeUInt16LE(created.time, 14);
  entry.writeUInt16LE(created.date, 16);
  entry.writeUInt16LE(fatTime(times.accessed).date, 18);
  entry.writeUInt16LE(cluster >>> 16, 20);
  entry.writeUInt16LE(modified.time, 22);
  entry.writeUInt16LE(modified.date, 24);
  entry.writeUInt16LE(cluster & 0xffff, 26);
  entry.writeUInt32LE(size ?? 0, 28);
  return entry;
}

/** Local time; FAT knows the years 1980 to 2107. */
function fatTime(time: Date): { date: number; time: number; hundredths: number } {
  const year = time.getFullYear();
  if (!(year >= 1980)) return { date: (1 << 5) | 1, time: 0, hundredths: 0 };
  if (year > 2107) return fatTime(new Date(2107, 11, 31, 23, 59, 59));
  const seconds = time.getSeconds();
  return {
    date: ((year - 1980) << 9) | ((time.getMonth() + 1) << 5) | time.getDate(),
    time: (time.getHours() << 11) | (time.getMinutes() << 5) | (seconds >> 1),
    hundredths: (seconds % 2) * 100 + Math.floor(time.getMilliseconds() / 10),
  };
}
