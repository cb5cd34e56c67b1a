import { BlockError } from '../../block/errors.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { EXTENSION, withExtension } from './extensions.ts';
import { AUTOCLEAR, type Header } from './header.ts';

/** A bitmap of changed blocks as the directory has it. */
export interface StoredBitmap {
  readonly name: string;
  /** Bytes of the disk for each bit. */
  readonly granularity: number;
  /** What is written to the disk is noted in it. */
  readonly auto: boolean;
  /** It was not stored when the image was last used: nobody knows what it should say. */
  readonly inUse: boolean;
  /** Of its table, in bytes and in entries. */
  readonly tableAt: number;
  readonly tableEntries: number;
  readonly extra: Buffer;
}

const FIXED = 24;
const FLAGS = { inUse: 1, auto: 2, extraCompatible: 4 } as const;
const DIRTY_TRACKING = 1;
const MOST_DIRECTORY = 64 << 20;
const MOST_BITMAPS = 65535;
const MOST_TABLE_ENTRIES = 0x800_0000;

/** Where the directory is in the file, in bytes; undefined: there is none, or it is out of date. */
export function directoryOf({ extensions, autoclear, clusterBits }: Header) {
  const field = extensions.find(({ type }) => type === EXTENSION.bitmaps)?.data;
  if (!field || !(autoclear & AUTOCLEAR.bitmaps)) return undefined;
  if (field.length !== 24) throw wrong('bitmaps_ext: Invalid extension length');
  const [count, length] = [field.readUInt32BE(0), field.readBigUInt64BE(8)];
  const at = field.readBigUInt64BE(16);
  if (count === 0) throw wrong('found bitmaps extension with zero bitmaps');
  if (count > MOST_BITMAPS)
    throw wrong(`bitmaps_ext: image has ${count} bitmaps, which is too many`);
  if (length > MOST_DIRECTORY || length === 0n)
    throw wrong('bitmaps_ext: Too large bitmap directory');
  if (at > BigInt(Number.MAX_SAFE_INTEGER) || at % 2n ** BigInt(clusterBits) !== 0n || at === 0n) {
    throw wrong('bitmaps_ext: Invalid offset of bitmap directory');
  }
  return { count, at: Number(at), length: Number(length) };
}

const wrong = (words: string) => new BlockError('EIO', words);

/** The bitmaps of an image. @throws BlockError EIO */
export async function readBitmaps(file: ImageFile, header: Header): Promise<StoredBitmap[]> {
  const directory = directoryOf(header);
  if (!directory) return [];
  const bytes = await file.bytes(directory.at, directory.length);
  const found: StoredBitmap[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + FIXED > bytes.length) throw wrong('the bitmap directory is cut short');
    const extra = bytes.readUInt32BE(at + 20);
    const name = bytes.readUInt16BE(at + 18);
    const end = at + FIXED + extra + name;
    if (end > bytes.length || name === 0 || name > 1023)
      throw wrong('a bitmap directory entry is invalid');
    found.push(entryAt(bytes, at, extra, end));
    at = Math.ceil(end / 8) * 8;
  }
  if (found.length === directory.count) return found;
  throw wrong('the number of bitmaps is not that of the bitmap directory');
}

function entryAt(bytes: Buffer, at: number, extra: number, end: number): StoredBitmap {
  const flags = bytes.readUInt32BE(at + 12);
  const tableAt = bytes.readBigUInt64BE(at);
  const tableEntries = bytes.readUInt32BE(at + 8);
  const bits = bytes[at + 17]!;
  if (bytes[at + 16] !== DIRTY_TRACKING || bits < 9 || bits > 31) {
    throw wrong('a bitmap is of a kind that is not known');
  }
  if (tableAt > BigInt(Number.MAX_SAFE_INTEGER) || tableEntries > MOST_TABLE_ENTRIES) {
    throw wrong('the table of a bitmap is outside the image');
  }
  return {
    name: bytes.toString('utf8', at + FIXED + extra, end),
    granularity: 2 ** bits,
    auto: (flags & FLAGS.auto) !== 0,
    inUse: (flags & FLAGS.inUse) !== 0,
    tableAt: Number(tableAt),
    tableEntries,
    extra: Buffer.from(bytes.subarray(at + FIXED, at + FIXED + extra)),
  };
}

/** The directory as it stands in the file. */
export function directoryBytes(bitmaps: readonly StoredBitmap[]): Buffer {
  return Buffer.concat(
    bitmaps.flatMap(bitmap => {
      const name = Buffer.from(bitmap.name);
      const fixed = Buffer.alloc(FIXED);
      fixed.writeBigUInt64BE(BigInt(bitmap.tableAt), 0);
      fixed.writeUInt32BE(bitmap.tableEntries, 8);
      fixed.writeUInt32BE((bitmap.inUse ? FLAGS.inUse : 0) | (bitmap.auto ? FLAGS.auto : 0), 12);
      fixed[16] = DIRTY_TRACKING;
      fixed[17] = Math.log2(bitmap.granularity);
      fixed.writeUInt16BE(name.length, 18);
      fixed.writeUInt32BE(bitmap.extra.length, 20);
      const length = FIXED + bitmap.extra.length + name.length;
      return [fixed, bitmap.extra, name, Buffer.alloc(-length & 7)];
    }),
  );
}

/** The header leads to a directory, or to none; it is written by whoever changes it. */
export function leadTo(header: Header, count: number, at: number, length: number): void {
  const field = Buffer.alloc(24);
  field.writeUInt32BE(count, 0);
  field.writeBigUInt64BE(BigInt(length), 8);
  field.writeBigUInt64BE(BigInt(at), 16);
  const some = count > 0;
  header.extensions = withExtension(header.extensions, EXTENSION.bitmaps, some ? field : undefined);
  header.autoclear = (header.autoclear & ~AUTOCLEAR.bitmaps) | (some ? AUTOCLEAR.bitmaps : 0n);
}

/** The entries of a bitmap's table: 0 for zeroes, 1 for ones, else where they are. */
export async function dataClusters(
  file: ImageFile,
  at: number,
  entries: number,
): Promise<number[]> {
  const table = await file.bytes(at, entries * 8);
  return Array.from({ length: entries }, (_, index) => {
    const entry = table.readBigUInt64BE(index * 8) & 0x00ff_ffff_ffff_ffffn;
    if (entry > BigInt(Number.MAX_SAFE_INTEGER))
      throw new BlockError('EIO', 'a bitmap is outside the image');
    return Number(entry);
  });
}
