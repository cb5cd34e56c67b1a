import { isZero } from '../../block/data.ts';

/** Of L1 and L2 entries and of the refcount table: bits 9 to 55 are where something is. */
const HIGH = 0x00ff_ffff;

/** In bytes; past 2^53-1 it is not exact, and no file is so large. */
export function offsetAt(bytes: Buffer, at: number): number {
  return (bytes.readUInt32BE(at) & HIGH) * 2 ** 32 + ((bytes.readUInt32BE(at + 4) & ~0x1ff) >>> 0);
}

/** Bytes of a table that are looked at together. */
const PIECE = 4096;

/** Where in a table the entries are that say something. @param size of an entry, in bytes */
export function writtenEntries(table: Buffer, size: number): number[] {
  const found: number[] = [];
  for (let piece = 0; piece < table.length; piece += PIECE) {
    const end = Math.min(table.length, piece + PIECE);
    if (isZero(table.subarray(piece, end))) continue;
    for (let at = piece; at < end; at += size) {
      let word = at;
      while (word < at + size && table.readUInt32BE(word) === 0) word += 4;
      if (word < at + size) found.push(at);
    }
  }
  return found;
}

/** The offsets of all entries of a table. */
export function offsetsOf(table: Buffer): Float64Array {
  return Float64Array.from({ length: table.length / 8 }, (_, index) => offsetAt(table, index * 8));
}

/** An entry of a table: an offset with its flag for "nobody else refers to it". */
export function writeEntry(
  bytes: Buffer,
  at: number,
  offset: number,
  copied: boolean,
  low = 0,
): void {
  const high = Math.floor(offset / 2 ** 32);
  bytes.writeUInt32BE((high | (copied ? COPIED : 0)) >>> 0, at);
  bytes.writeUInt32BE(((offset % 2 ** 32) | low) >>> 0, at + 4);
}

/** Bits of the upper 32 of an entry. */
export const COPIED = 0x8000_0000;
export const PACKED = 0x4000_0000;
