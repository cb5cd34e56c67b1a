import { BlockError } from '../block/errors.ts';
import { repeat } from './lz4.ts';

/** The last instruction: a distance that stands for the end. */
const END = 16384;

/**
 * One stream of LZO1X, as the kernel's documentation describes it.
 * @param most bytes that may come of it. @throws BlockError EIO it is damaged.
 */
export function decodeLzo(input: Uint8Array, most: number): Buffer {
  const output = Buffer.allocUnsafe(most);
  let [from, to] = [0, 0];
  /** Literals that came last: 1 to 3 after a match, 4 for more. */
  let state = 0;
  const bad = () => new BlockError('EIO', 'it is damaged');
  const next = (): number => {
    if (from >= input.length) throw bad();
    return input[from++]!;
  };
  const literals = (count: number) => {
    if (from + count > input.length || to + count > most) throw bad();
    output.set(input.subarray(from, from + count), to);
    from += count;
    to += count;
  };
  /** Each zero is 255 more. */
  const longer = (bits: number, mask: number): number => {
    if (bits !== 0) return bits;
    let sum = mask;
    for (;;) {
      const byte = next();
      if (byte !== 0) return sum + byte;
      sum += 255;
    }
  };
  const match = (distance: number, length: number, after: number) => {
    if (distance > to || to + length > most) throw bad();
    to = repeat(output, to, distance, length);
    state = after;
    literals(after);
  };
  const first = next();
  if (first > 17) {
    literals(first - 17);
    state = Math.min(first - 17, 4);
  } else from = 0;
  for (;;) {
    const byte = next();
    if (byte >= 64) {
      const length = byte >= 128 ? 5 + ((byte >> 5) & 3) : 3 + ((byte >> 5) & 1);
      match((next() << 3) + ((byte >> 2) & 7) + 1, length, byte & 3);
    } else if (byte >= 32) {
      const length = longer(byte & 31, 31) + 2;
      const word = next() | (next() << 8);
      match((word >> 2) + 1, length, word & 3);
    } else if (byte >= 16) {
      const length = longer(byte & 7, 7) + 2;
      const word = next() | (next() << 8);
      const distance = END + ((byte & 8) << 11) + (word >> 2);
      if (distance === END) return output.subarray(0, to);
      match(distance, length, word & 3);
    } else if (state === 0) {
      literals(longer(byte, 15) + 3);
      state = 4;
    } else if (state === 4) match((next() << 2) + (byte >> 2) + 2049, 3, byte & 3);
    else match((next() << 2) + (byte >> 2) + 1, 2, byte & 3);
  }
}
