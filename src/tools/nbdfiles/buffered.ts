import type { BlockDevice } from '../../block/device.ts';
import { readInto } from '../../block/read-into.ts';

export type Write = (bytes: Uint8Array) => Promise<void>;

/** Bytes that are written at once. */
const AT_ONCE = 1 << 20;
/** Less room than this is not read into. */
const LEAST_ROOM = 1 << 16;

/**
 * Joins small pieces, each of which would cost a turn of its own; what was joined before is written
 * meanwhile. `flush` writes what is left.
 */
export class Buffered {
  readonly #write: Write;
  #buffer = Buffer.allocUnsafeSlow(AT_ONCE);
  #other = Buffer.allocUnsafeSlow(AT_ONCE);
  #writing: Promise<void> | undefined;
  #length = 0;
  /** Bytes that were put. */
  total = 0n;

  /** @param write may keep what it gets until it has answered. */
  constructor(write: Write) {
    this.#write = write;
  }

  /** The bytes are the caller's again when this has answered; it answers at once where there is room. */
  put(bytes: Uint8Array): void | Promise<void> {
    if (bytes.length > AT_ONCE - this.#length) return this.#putParts(bytes);
    this.#buffer.set(bytes, this.#length);
    this.#took(bytes.length);
  }

  /** All of a device, which is read to where it is written from. */
  async pour({ size, read }: BlockDevice): Promise<void> {
    for (let at = 0n; at < size; ) {
      if (AT_ONCE - this.#length < LEAST_ROOM) await this.#turn();
      const room = this.#buffer.subarray(this.#length);
      const left = size - at;
      // Whole blocks but for the last, as file systems have them.
      const length = left > room.length ? room.length - (room.length % LEAST_ROOM) : Number(left);
      const part = room.subarray(0, length);
      await readInto({ read }, at, part);
      this.#took(part.length);
      at += BigInt(part.length);
    }
  }

  async flush(): Promise<void> {
    await this.#turn();
    await this.#writing;
  }

  #took(length: number): void {
    this.#length += length;
    this.total += BigInt(length);
  }

  async #putParts(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += AT_ONCE) {
      await this.#turn();
      await this.put(bytes.subarray(at, at + AT_ONCE));
    }
  }

  /** What is full is written, while the other one is filled. */
  async #turn(): Promise<void> {
    await this.#writing;
    const full = this.#buffer.subarray(0, this.#length);
    [this.#buffer, this.#other] = [this.#other, this.#buffer];
    this.#length = 0;
    this.#writing = full.length > 0 ? this.#write(full) : undefined;
    // It is waited for later.
    this.#writing?.catch(() => {});
  }
}
