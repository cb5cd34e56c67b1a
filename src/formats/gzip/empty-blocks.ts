/** The order in which deflate tells how long the codes are in which it tells how long codes are. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] as const;
const LENGTHS: Readonly<Record<number, number>> = { 18: 1, 1: 2, 0: 3, 2: 3 };

/** Bits, the lowest first. */
class Bits {
  readonly list: number[] = [];

  put(value: number, count: number): void {
    for (let bit = 0; bit < count; bit++) this.list.push((value >> bit) & 1);
  }

  /** A block of fixed codes with nothing in it: 10 bits. */
  putEmptyBlock(): void {
    this.put(2, 10);
  }

  /** A block of codes of its own with nothing in it: 93 bits, which is an odd number. */
  putOddEmptyBlock(): void {
    this.put(4, 3);
    this.put(0, 10);
    this.put(ORDER.length - 4, 4);
    for (const symbol of ORDER) this.put(LENGTHS[symbol] ?? 0, 3);
    // 138 and 118 codes that are not used, the end of the block, and a distance that is not used.
    this.put(127 << 1, 8);
    this.put(107 << 1, 8);
    this.put(1, 2);
    this.put(3, 3);
    this.put(0, 1);
  }
}

/**
 * Bytes with which raw deflate may begin in the middle of a byte: blocks with nothing in them, so
 * long that the last bits of that byte come where they were.
 * @param byte of which only the upper `bits` are still to be decoded, 0 to 7 of them.
 */
export function emptyBlocksUpTo(byte: number, bits: number): Buffer {
  if (bits === 0) return Buffer.alloc(0);
  const done = 8 - bits;
  const prefix = new Bits();
  if (done % 2 === 1) prefix.putOddEmptyBlock();
  while (prefix.list.length % 8 !== done) prefix.putEmptyBlock();
  prefix.put(byte >> done, bits);
  const bytes = Buffer.alloc(prefix.list.length / 8);
  for (const [index, bit] of prefix.list.entries()) bytes[index >> 3]! |= bit << (index & 7);
  return bytes;
}
