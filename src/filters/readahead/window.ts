const LEAST = 32 << 10;
const MOST = 4 << 20;

/** What to announce after each read: more when the client was faster, little when it goes back. */
export class Window {
  readonly #size: bigint;
  #length = LEAST;
  #last = 0n;
  #announced = 0n;

  /** @param size that of the disk, in bytes. */
  constructor(size: bigint) {
    this.#size = size;
  }

  /** What will probably be read after these bytes; undefined at the end of the disk. */
  after(offset: bigint, length: number): { offset: bigint; length: number } | undefined {
    const next = offset + BigInt(length);
    const rest = this.#size - next;
    const ahead = rest < this.#length ? Number(rest) : this.#length;
    if (this.#announced < offset) this.#length = Math.min(this.#length * 2, MOST);
    else if (this.#last >= offset) this.#length = LEAST;
    this.#last = offset;
    this.#announced = next + BigInt(ahead);
    return ahead > 0 ? { offset: next, length: ahead } : undefined;
  }
}
