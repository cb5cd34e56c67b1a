export type Write = (bytes: Uint8Array) => Promise<void>;

/** Bytes that are written at once. */
const AT_ONCE = 1 << 20;

/** Joins small pieces, each of which would cost a turn of its own. `flush` writes what is left. */
export class Buffered {
  readonly #write: Write;
  #buffer = Buffer.allocUnsafeSlow(AT_ONCE);
  #length = 0;
  /** Bytes that were put. */
  total = 0n;

  /** @param write may keep what it gets until it has answered. */
  constructor(write: Write) {
    this.#write = write;
  }

  /** The bytes are the caller's again when this has answered; it answers at once where there is room. */
  put(bytes: Uint8Array): void | Promise<void> {
    this.total += BigInt(bytes.length);
    if (this.#length + bytes.length <= AT_ONCE) {
      this.#buffer.set(bytes, this.#length);
      this.#length += bytes.length;
      return;
    }
    return this.#large(bytes);
  }

  async flush(): Promise<void> {
    const length = this.#length;
    this.#length = 0;
    if (length > 0) await this.#write(this.#buffer.subarray(0, length));
  }

  async #large(bytes: Uint8Array): Promise<void> {
    await this.flush();
    await this.#write(bytes);
  }
}
