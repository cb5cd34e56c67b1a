import { crc32 } from 'node:zlib';
import { FOOTER_MAGIC, HEADER, HEADER_MAGIC, writeVli } from './wire.ts';

/** What makes a stream of a single block, which any decoder can decode and check. */
export function wrapBlock({
  check,
  unpadded,
  length,
}: {
  /** The kind of check: 0 to 15. */
  readonly check: number;
  /** Bytes of the block without padding. */
  readonly unpadded: number;
  /** Bytes of it, decoded. */
  readonly length: number;
}): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const flags = Buffer.from([0, check]);
  const before = Buffer.concat([HEADER_MAGIC, flags, sum(flags)]);
  const numbers = Buffer.from([0, 1, ...writeVli(unpadded), ...writeVli(length)]);
  const index = Buffer.alloc(Math.ceil(numbers.length / 4) * 4);
  numbers.copy(index);
  const footer = Buffer.alloc(HEADER - 6);
  footer.writeUInt32LE((index.length + 4) / 4 - 1);
  flags.copy(footer, 4);
  const after = [index, sum(index), sum(footer), footer, FOOTER_MAGIC];
  return { before, after: Buffer.concat(after) };
}

function sum(bytes: Uint8Array): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(crc32(bytes));
  return four;
}
