/** Of L1 and L2 entries and of the refcount table: bits 9 to 55 are where something is. */
const HIGH = 0x00ff_ffff;

/** In bytes; past 2^53-1 it is not exact, and no file is so large. */
export function offsetAt(bytes: Buffer, at: number): number {
  return (bytes.readUInt32BE(at) & HIGH) * 2 ** 32 + ((bytes.readUInt32BE(at + 4) & ~0x1ff) >>> 0);
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
