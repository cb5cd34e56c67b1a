import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import type { Data } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';

const PIECE = Buffer.alloc(1 << 20);
const BLOCK = 16;
const MAX_SEED = 2n ** 64n - 1n;

/**
 * The key of a seed: a whole number from 0 to 2^64-1, decimal, octal or hexadecimal; without one a
 * key that nobody has had before. `purpose` keeps the streams of different parts apart.
 * @throws UsageError
 */
export function seedKey(purpose: string, seed: string | undefined): Buffer {
  if (seed === undefined) return randomBytes(BLOCK);
  const digits = /^(?:0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(seed);
  const value = digits ? BigInt(seed.replace(/^0(?=\d)/, '0o')) : undefined;
  if (value === undefined || value > MAX_SEED) {
    const right = 'expected a whole number from 0 to 2^64-1';
    throw new UsageError(`seed: cannot parse '${seed}': ${right}`);
  }
  return createHash('sha256').update(`${purpose} ${value}`).digest().subarray(0, BLOCK);
}

/**
 * Bytes `offset` to `offset + length` of the endless stream of pseudo-random bytes that belongs to a
 * 16-byte key (AES-128 in counter mode), the same on every machine and however it is cut.
 */
export function keystream(key: Uint8Array, offset: bigint, length: number): Data {
  const counter = Buffer.alloc(BLOCK);
  counter.writeBigUInt64BE(offset >> 4n, 8);
  const cipher = createCipheriv('aes-128-ctr', key, counter);
  const skip = Number(offset & 15n);
  if (skip > 0) cipher.update(PIECE.subarray(0, skip));
  if (length <= PIECE.length) return cipher.update(PIECE.subarray(0, length));
  const pieces: Uint8Array[] = [];
  for (let left = length; left > 0; left -= PIECE.length) {
    pieces.push(cipher.update(PIECE.subarray(0, left)));
  }
  return pieces;
}
