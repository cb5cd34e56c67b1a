const POLYNOMIAL = 0x82f63b78;
const WAYS = 8;

/** Tables for eight bytes at a time: 8 × 256 words. */
const TABLES = makeTables();

function makeTables(): Uint32Array {
  const tables = new Uint32Array(WAYS * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
    tables[byte] = value;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256]!;
    tables[at] = (before >>> 8) ^ tables[before & 0xff]!;
  }
  return tables;
}

/**
 * CRC-32C (Castagnoli) without the inversions before and after, as ext4, XFS, btrfs and others begin
 * and end with words of their own: `~crc32c(~0, bytes)` is the usual sum.
 * @returns 32 bits, unsigned.
 */
export function crc32c(seed: number, bytes: Uint8Array): number {
  const t = TABLES;
  let crc = seed;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low =
      crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      t[1792 + (low & 0xff)]! ^
      t[1536 + ((low >>> 8) & 0xff)]! ^
      t[1280 + ((low >>> 16) & 0xff)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!;
  return crc >>> 0;
}

/** The same of a number, as 32 bits little-endian. */
export function crc32cOfWord(seed: number, word: number): number {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32LE(word | 0);
  return crc32c(seed, bytes);
}
