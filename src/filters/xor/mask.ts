import { viewsOf } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import { xorBytes } from '../../block/xor-bytes.ts';
import { keystream, seedKey } from '../../content/keystream.ts';

/** What the bytes at an offset are combined with. */
export type Mask = (offset: bigint, length: number) => Data;

/** About so many bytes of a repeated value are one view. */
const TILE = 65536;
const LONGEST = 8;

/**
 * Of `rand`, `rand:SEED`, or a number and how many bytes it has.
 * @throws UsageError
 */
export function maskOf(word: string, length: number | undefined): Mask {
  const seed = /^rand(?::(.*))?$/.exec(word);
  if (!seed) return repeated(valueBytes(word, length));
  if (length !== undefined) throw new UsageError('xorlen does not go with xor=rand');
  const key = seedKey('xor', seed[1] ?? '0');
  return (offset, count) => keystream(key, offset, count);
}

/** The number as it is written, from its most significant byte on. */
function valueBytes(word: string, length: number | undefined): Buffer {
  if (!/^(?:0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(word)) {
    throw new UsageError(`xor: cannot parse '${word}': expected a number, rand or rand:SEED`);
  }
  const digits = BigInt(word.replace(/^0(?=\d)/, '0o')).toString(16);
  const least = Math.ceil(digits.length / 2);
  const size = length ?? least;
  if (least > size || size > LONGEST) {
    const room = length === undefined ? `${LONGEST} bytes` : `xorlen=${length}`;
    throw new UsageError(`xor: ${word} has ${least} bytes, more than ${room}`);
  }
  return Buffer.from(digits.padStart(size * 2, '0'), 'hex');
}

function repeated(value: Buffer): Mask {
  const size = value.length;
  // One for each place in the value where a request may begin.
  const tiles = Array.from(value, (_byte, phase) => {
    const turned = Buffer.concat([value.subarray(phase), value.subarray(0, phase)]);
    return Buffer.alloc(TILE - (TILE % (size * 4)), turned);
  });
  return (offset, length) => {
    const tile = tiles[Number(offset % BigInt(size))]!;
    const views: Uint8Array[] = [];
    for (let left = length; left > 0; left -= tile.length) views.push(tile.subarray(0, left));
    return views;
  };
}

/** Combines bytes with the mask of where they are. */
export function applyMask(mask: Mask, offset: bigint, bytes: Uint8Array): void {
  let at = 0;
  for (const view of viewsOf(mask(offset, bytes.length))) {
    xorBytes(bytes.subarray(at, at + view.length), view);
    at += view.length;
  }
}
