/** Counters of 2^order bits in a row; those of less than a byte begin at its lowest bit. */

/** @returns at most 2^53-1: larger counts are not told apart. */
export function readCount(bytes: Buffer, index: number, order: number): number {
  switch (order) {
    case 3:
      return bytes[index]!;
    case 4:
      return (bytes[2 * index]! << 8) | bytes[2 * index + 1]!;
    case 5:
      return bytes.readUInt32BE(4 * index);
    case 6:
      return Math.min(Number(bytes.readBigUInt64BE(8 * index)), Number.MAX_SAFE_INTEGER);
  }
  const bits = 1 << order;
  const at = index * bits;
  return (bytes[at >> 3]! >> (at & 7)) & ((1 << bits) - 1);
}

/** @param count what has room in 2^order bits. */
export function writeCount(bytes: Buffer, index: number, order: number, count: number): void {
  if (order === 3) bytes[index] = count;
  else if (order === 4) bytes.writeUInt16BE(count, 2 * index);
  else if (order === 5) bytes.writeUInt32BE(count, 4 * index);
  else if (order === 6) bytes.writeBigUInt64BE(BigInt(count), 8 * index);
  else {
    const bits = 1 << order;
    const at = index * bits;
    const mask = ((1 << bits) - 1) << (at & 7);
    bytes[at >> 3] = (bytes[at >> 3]! & ~mask) | (count << (at & 7));
  }
}
