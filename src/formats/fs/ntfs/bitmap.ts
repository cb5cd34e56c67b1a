import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';

/** Bytes that are read at once. */
const PIECE = 1 << 20;
const BITS = Uint8Array.from(
  { length: 256 },
  (_, byte) => byte.toString(2).replaceAll('0', '').length,
);

/** How many of the first bits of a bitmap are set. */
export async function bitsSet(
  bitmap: BlockDevice | undefined,
  bits: number,
  options?: RequestOptions,
): Promise<number> {
  let count = 0;
  const whole = Math.floor(bits / 8);
  const bytes = Math.min(Number(bitmap?.size ?? 0n), Math.ceil(bits / 8));
  for (let at = 0; at < bytes; at += PIECE) {
    const part = contiguous(await bitmap!.read(BigInt(at), Math.min(PIECE, bytes - at), options));
    for (const [index, byte] of part.entries()) {
      const shown = at + index < whole ? byte : byte & ((1 << (bits % 8)) - 1);
      count += BITS[shown]!;
    }
  }
  return count;
}
