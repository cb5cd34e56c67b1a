import { createHash, randomBytes } from 'node:crypto';
import { xorBytes } from '../block/xor-bytes.ts';

/**
 * LUKS's anti-forensic splitter: a key as several stripes all of which are needed to get it back, so
 * that a disk which keeps a copy of one of its sectors gives nothing away.
 * @param hash as node:crypto names it.
 */
export function splitKey(key: Uint8Array, stripes: number, hash: string): Buffer {
  const split = randomBytes(key.length * stripes);
  const last = split.subarray(-key.length);
  last.set(diffused(split, key.length, stripes, hash));
  xorBytes(last, key);
  return split;
}

/** The key that was split, `length` bytes of it. */
export function mergeKey(split: Uint8Array, length: number, stripes: number, hash: string): Buffer {
  const key = diffused(split, length, stripes, hash);
  xorBytes(key, split.subarray(length * (stripes - 1), length * stripes));
  return key;
}

/** What all stripes but the last one come to. */
function diffused(split: Uint8Array, length: number, stripes: number, hash: string): Buffer {
  const mixed = Buffer.alloc(length);
  const size = createHash(hash).digest().length;
  for (let stripe = 0; stripe < stripes - 1; stripe++) {
    xorBytes(mixed, split.subarray(length * stripe, length * (stripe + 1)));
    diffuse(mixed, hash, size);
  }
  return mixed;
}

/** Each part as long as a digest becomes the digest of its number and itself. */
function diffuse(bytes: Buffer, hash: string, size: number): void {
  const number = Buffer.alloc(4);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    number.writeUInt32BE(at / size);
    createHash(hash).update(number).update(part).digest().copy(part);
  }
}
