import { hash } from 'node:crypto';
import { isZero } from '../../block/data.ts';
import type { HashForm } from './form.ts';

/** Digests of the blocks of a disk, of which that of zeroes is known before. */
export class BlockDigests {
  readonly form: HashForm;
  readonly #ofZeroes: Buffer;
  #run: Buffer = Buffer.alloc(0);

  constructor(form: HashForm) {
    this.form = form;
    this.#ofZeroes = digestOf(form, Buffer.alloc(form.blockSize));
  }

  /** Those of whole blocks, and of the last one that may be shorter, one after the other. */
  of(bytes: Uint8Array): Uint8Array {
    const { blockSize } = this.form;
    const digests: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += blockSize) {
      const block = bytes.subarray(at, at + blockSize);
      const known = block[0] === 0 && block.length === blockSize && isZero(block);
      digests.push(known ? this.#ofZeroes : digestOf(this.form, block));
    }
    return Buffer.concat(digests);
  }

  /** Those of `count` whole blocks of zeroes. */
  ofZeroes(count: number): Uint8Array {
    const length = count * this.#ofZeroes.length;
    if (this.#run.length < length) this.#run = Buffer.alloc(length, this.#ofZeroes);
    return this.#run.subarray(0, length);
  }
}

function digestOf({ digest }: HashForm, bytes: Uint8Array): Buffer {
  return hash(digest, bytes, 'buffer');
}
