import { addressOf } from './libc.ts';

/** The pieces of one gathered or scattered system call (struct iovec). */
export class IoVector {
  /** Where it is, for the system. */
  readonly address: bigint;
  readonly #fields: BigUint64Array;

  /** @param most pieces; the system takes 1024. */
  constructor(most: number) {
    this.#fields = new BigUint64Array(2 * most);
    this.address = addressOf(new Uint8Array(this.#fields.buffer));
  }

  /** The view must stay referenced until the call is over. */
  point(index: number, view: Uint8Array): void {
    this.#fields[2 * index] = addressOf(view);
    this.#fields[2 * index + 1] = BigInt(view.length);
  }
}
