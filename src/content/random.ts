import { createHash, randomBytes } from 'node:crypto';

/** Pseudo-random numbers that follow from a key: the same on every machine. Not for secrets. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  /** @param words what they follow from; without any, numbers that nobody has had before. */
  constructor(...words: readonly (string | number | bigint)[]) {
    const key =
      words.length > 0 ? createHash('sha256').update(words.join(' ')).digest() : randomBytes(12);
    this.#a = key.readInt32LE(0);
    this.#b = key.readInt32LE(4);
    this.#c = key.readInt32LE(8);
  }

  /** A whole number from 0 to 2^32-1 (Chris Doty-Humphrey's sfc32). */
  next(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** From 0 to less than 1, in steps of 2^-53. */
  fraction(): number {
    return ((this.next() >>> 5) * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53;
  }
}
