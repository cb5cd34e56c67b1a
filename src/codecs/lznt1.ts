import { BlockError } from '../block/errors.ts';
import { repeat } from './lz4.ts';

/** Bytes that come of one chunk. */
const CHUNK = 4096;

/**
 * LZNT1, as NTFS compresses: chunks of up to 4096 bytes, each with a header of two bytes.
 * @param most bytes that may come of it. @throws BlockError EIO it is damaged.
 */
export function decodeLznt1(input: Uint8Array, most: number): Buffer {
  const output = Buffer.alloc(most);
  const bad = () => new BlockError('EIO', 'it is damaged');
  let to = 0;
  for (let from = 0; from + 2 <= input.length && to < most; ) {
    const header = input[from]! | (input[from + 1]! << 8);
    if (header === 0) break;
    const end = from + 3 + (header & 0xfff);
    if (end > input.length) throw bad();
    const chunk = input.subarray(from + 2, end);
    const room = Math.min(CHUNK, most - to);
    if (header & 0x8000) decodeChunk(chunk, output, to, room);
    else output.set(chunk.subarray(0, room), to);
    from = end;
    // A chunk that is shorter is filled up with zeroes.
    to += room;
  }
  return output;
}

/** Eight tokens after a byte of flags: a byte, or where in the chunk bytes are that come again. */
function decodeChunk(chunk: Uint8Array, output: Buffer, start: number, room: number): void {
  const bad = () => new BlockError('EIO', 'it is damaged');
  let to = start;
  const end = start + room;
  for (let from = 0; from < chunk.length; ) {
    const flags = chunk[from++]!;
    for (let bit = 0; bit < 8 && from < chunk.length; bit++) {
      if (!(flags & (1 << bit))) {
        if (to >= end) throw bad();
        output[to++] = chunk[from++]!;
        continue;
      }
      if (from + 2 > chunk.length) throw bad();
      const token = chunk[from]! | (chunk[from + 1]! << 8);
      from += 2;
      // The farther in the chunk, the more bits say how far back.
      const lengthBits = 12 - Math.max(0, 32 - Math.clz32(to - start - 1) - 4);
      const distance = (token >> lengthBits) + 1;
      const length = (token & ((1 << lengthBits) - 1)) + 3;
      if (distance > to - start || to + length > end) throw bad();
      to = repeat(output, to, distance, length);
    }
  }
}
