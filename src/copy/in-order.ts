interface Part<T> {
  readonly length: bigint;
  readonly value: T;
}

/** Puts parts of a whole into their order, in whichever they come. */
export class InOrder<T> {
  readonly #early = new Map<bigint, Part<T>>();
  #end: bigint;

  /** @param start where the whole begins, in bytes. */
  constructor(start = 0n) {
    this.#end = start;
  }

  /** Everything before has been taken. */
  get end(): bigint {
    return this.#end;
  }

  add(offset: bigint, length: number, value: T): void {
    this.#early.set(offset, { length: BigInt(length), value });
  }

  /** The part that begins at `end`; undefined as long as it has not come. */
  take(): Part<T> | undefined {
    const part = this.#early.get(this.#end);
    if (!part) return undefined;
    this.#early.delete(this.#end);
    this.#end += part.length;
    return part;
  }
}
