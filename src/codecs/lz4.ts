import { BlockError } from '../block/errors.ts';

const LEAST_MATCH = 4;

/**
 * One block of LZ4, as its block format has it.
 * @param most bytes that may come of it. @throws BlockError EIO it is damaged.
 */
export function decodeLz4(input: Uint8Array, most: number): Buffer {
  const output = Buffer.allocUnsafe(most);
  let [from, to] = [0, 0];
  const bad = () => new BlockError('EIO', 'it is damaged');
  const longer = (length: number): number => {
    if (length !== 15) return length;
    let sum = length;
    for (let byte = 255; byte === 255; sum += byte) {
      if (from >= input.length) throw bad();
      byte = input[from++]!;
    }
    return sum;
  };
  while (from < input.length) {
    const token = input[from++]!;
    const literals = longer(token >> 4);
    if (from + literals > input.length || to + literals > most) throw bad();
    output.set(input.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === input.length) break;
    if (from + 2 > input.length) throw bad();
    const distance = input[from]! | (input[from + 1]! << 8);
    from += 2;
    const length = longer(token & 15) + LEAST_MATCH;
    if (distance === 0 || distance > to || to + length > most) throw bad();
    to = repeat(output, to, distance, length);
  }
  return output.subarray(0, to);
}

/** Copies bytes that were written before, which may be among those that are being written. */
export function repeat(output: Buffer, to: number, distance: number, length: number): number {
  if (distance >= length) output.copyWithin(to, to - distance, to - distance + length);
  else for (let at = to; at < to + length; at++) output[at] = output[at - distance]!;
  return to + length;
}
