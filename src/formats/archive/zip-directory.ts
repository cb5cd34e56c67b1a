import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { bytesAt } from '../../codecs/encoded.ts';

/** What the directory at the end of a zip archive says of a file. */
export interface ZipRecord {
  readonly name: string;
  /** 0: as it is, 8: deflate, … */
  readonly method: number;
  readonly isEncrypted: boolean;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  /** Where its own header is. */
  readonly at: number;
}

const END = { magic: 0x06054b50, length: 22, longestComment: 0xffff } as const;
const LOCATOR = { magic: 0x07064b50, length: 20 } as const;
const LONG_END = { magic: 0x06064b50, length: 56 } as const;
const ENTRY = { magic: 0x02014b50, length: 46 } as const;
/** The field of 64-bit numbers, which stand there in this order where the 32 bits are all ones. */
const LONG_FIELD = 1;
const ALL_ONES = 0xffffffff;
const [IS_ENCRYPTED, IS_UTF8] = [1, 0x800] as const;
/** Bytes of a directory. */
const MOST = 64 << 20;

/**
 * @param file takes any offset and length. @throws BlockError EIO it is no zip archive, or damaged.
 */
export async function readDirectory(
  file: BlockDevice,
  options: RequestOptions,
): Promise<ZipRecord[]> {
  const { at, length, claimed } = await findDirectory(file, options);
  if (length > MOST) throw bad('its directory is too large');
  const bytes = await bytesAt(file, at, length, options);
  const records: ZipRecord[] = [];
  for (let place = 0; place < bytes.length; ) {
    const rest = bytes.subarray(place);
    if (rest.length < ENTRY.length || rest.readUInt32LE(0) !== ENTRY.magic) throw damaged();
    const [name, extra, comment] = [28, 30, 32].map(field => rest.readUInt16LE(field)) as Lengths;
    const end = ENTRY.length + name + extra + comment;
    if (end > rest.length) throw damaged();
    // What was put before the archive moves everything.
    records.push(readRecord(rest, name, extra, at - claimed));
    place += end;
  }
  return records;
}

type Lengths = [name: number, extra: number, comment: number];

function readRecord(entry: Buffer, name: number, extra: number, moved: number): ZipRecord {
  const flags = entry.readUInt16LE(8);
  const afterName = ENTRY.length + name;
  const long = longNumbers(entry.subarray(afterName, afterName + extra));
  const number = (at: number) => {
    const short = entry.readUInt32LE(at);
    return short === ALL_ONES ? long() : short;
  };
  const size = number(24);
  const packed = number(20);
  const at = number(42) + moved;
  if (![size, packed, at].every(Number.isSafeInteger) || at < 0) throw damaged();
  const text = entry.subarray(ENTRY.length, afterName);
  return {
    name: text.toString(flags & IS_UTF8 || isAscii(text) ? 'utf8' : 'latin1'),
    method: entry.readUInt16LE(10),
    isEncrypted: (flags & IS_ENCRYPTED) !== 0,
    crc: entry.readUInt32LE(16),
    packed,
    size,
    at,
  };
}

function isAscii(text: Buffer): boolean {
  return text.every(byte => byte < 0x80);
}

/** Gives the 64-bit numbers of an entry one after the other. */
function longNumbers(extra: Buffer): () => number {
  let field = Buffer.alloc(0);
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === LONG_FIELD) field = extra.subarray(at + 4, end) as typeof field;
  }
  let at = 0;
  return () => {
    if (at + 8 > field.length) throw damaged();
    at += 8;
    return Number(field.readBigUInt64LE(at - 8));
  };
}

/** Where the directory is, and where the archive says that it is. */
async function findDirectory(
  file: BlockDevice,
  options: RequestOptions,
): Promise<{ at: number; length: number; claimed: number }> {
  const size = Number(file.size);
  const length = Math.min(size, END.length + END.longestComment);
  const tail = await bytesAt(file, size - length, length, options);
  let end = tail.length - END.length;
  while (end >= 0 && !isEnd(tail, end)) end -= 1;
  if (end < 0) throw bad('it is no zip archive, or is cut short');
  const before = size - length + end;
  const short = {
    at: before - tail.readUInt32LE(end + 12),
    length: tail.readUInt32LE(end + 12),
    claimed: tail.readUInt32LE(end + 16),
  };
  const found = (await findLong(file, before, options)) ?? short;
  if (found.at < 0 || found.at + found.length > size) throw damaged();
  return found;
}

function isEnd(tail: Buffer, at: number): boolean {
  if (tail.readUInt32LE(at) !== END.magic) return false;
  return at + END.length + tail.readUInt16LE(at + 20) <= tail.length;
}

/** The same in an archive of more than 4 GiB; undefined: it is none. */
async function findLong(file: BlockDevice, before: number, options: RequestOptions) {
  if (before < LOCATOR.length + LONG_END.length) return undefined;
  const locator = await bytesAt(file, before - LOCATOR.length, LOCATOR.length, options);
  if (locator.readUInt32LE(0) !== LOCATOR.magic) return undefined;
  const at = before - LOCATOR.length - LONG_END.length;
  const end = await bytesAt(file, at, LONG_END.length, options);
  if (end.readUInt32LE(0) !== LONG_END.magic) throw damaged();
  const length = Number(end.readBigUInt64LE(40));
  return { at: at - length, length, claimed: Number(end.readBigUInt64LE(48)) };
}

export function bad(words: string): BlockError {
  return new BlockError('EIO', `zip: ${words}`);
}

function damaged(): BlockError {
  return bad('its directory is damaged');
}
