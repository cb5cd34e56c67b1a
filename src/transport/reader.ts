import { BlockError, reasonOf } from '../block/errors.ts';
import type { Receiver, Transport } from './transport.ts';

/** There is always space for so many bytes, as some may be under way when reading stops. */
const SLACK = 4096;

/**
 * Reads a transport piece by piece: what a handshake needs. Stops reading while it holds `limit`
 * bytes or more that nobody has taken.
 */
export class ByteReader implements Receiver {
  readonly #transport: Transport;
  readonly #limit: number;
  #buffer: Buffer;
  #start = 0;
  #end = 0;
  #wanted = 0;
  #waiting: { resolve(bytes: Buffer): void; reject(error: Error): void } | undefined;
  #error: Error | undefined;

  /** @param limit the longest piece that can be taken, in bytes. */
  constructor(transport: Transport, limit: number) {
    this.#transport = transport;
    this.#limit = limit;
    this.#buffer = Buffer.allocUnsafe(2 * limit + SLACK);
    transport.attach(this);
  }

  /**
   * The next `length` bytes, at most the limit.
   * @throws BlockError ECONNRESET when the stream ends before they came.
   */
  take(length: number): Promise<Buffer> {
    if (length > this.#limit) throw new RangeError(`${length} bytes are over the limit`);
    return new Promise((resolve, reject) => {
      this.#wanted = length;
      this.#waiting = { resolve, reject };
      this.#serve();
    });
  }

  /** As `take`; undefined when the stream has ended in order before the first of them. */
  async takeOrEnd(length: number): Promise<Buffer | undefined> {
    try {
      return await this.take(length);
    } catch (error) {
      const inOrder = error === this.#error && this.#error?.cause === undefined;
      if (inOrder && this.#start === this.#end) return undefined;
      throw error;
    }
  }

  /** Takes `length` bytes, of any number, and forgets them. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      const piece = Math.min(left, this.#limit);
      await this.take(piece);
      left -= piece;
    }
  }

  /** What has come and was not taken; the end of this reader's work. */
  leftover(): Buffer {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  space(): Uint8Array {
    if (this.#buffer.length - this.#end < SLACK) this.#makeRoom();
    return this.#buffer.subarray(this.#end, this.#end + this.#limit);
  }

  #makeRoom(): void {
    const held = this.#buffer.subarray(this.#start, this.#end);
    const size = Math.max(this.#buffer.length, held.length + this.#limit + SLACK);
    const target = size === this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(size);
    target.set(held);
    this.#buffer = target;
    this.#start = 0;
    this.#end = held.length;
  }

  received(count: number): void {
    this.#end += count;
    if (this.#end - this.#start >= this.#limit) this.#transport.pause();
    this.#serve();
  }

  ended(error?: Error): void {
    const words = `the connection was ${error ? `lost: ${reasonOf(error)}` : 'closed'}`;
    this.#error = new BlockError('ECONNRESET', words, { cause: error });
    this.#serve();
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    if (this.#end - this.#start >= this.#wanted) {
      this.#waiting = undefined;
      const bytes = Buffer.from(this.#buffer.subarray(this.#start, this.#start + this.#wanted));
      this.#start += this.#wanted;
      waiting.resolve(bytes);
    } else if (this.#error) {
      this.#waiting = undefined;
      waiting.reject(this.#error);
    } else {
      this.#transport.resume();
    }
  }
}
