import { viewsOf } from '../block/data.ts';
import type { Data } from '../block/device.ts';
import type { Receiver } from './transport.ts';

/** Bytes of headers read ahead. */
const CAPACITY = 1 << 16;
/** Kept free behind them, as a transport may ask for space before there is any. */
const RESERVE = 1 << 12;
/** From this size on, payloads are read by themselves, straight to where they belong. */
export const DIRECT = 1 << 14;

/** A payload on its way in, to one place or to several in order. */
interface Incoming {
  readonly views: readonly Uint8Array[];
  /** The view that is being filled, and how far. */
  index: number;
  at: number;
  complete(): void;
}

/**
 * Receives a stream of messages, each a header and perhaps a payload. Small ones are read many at a
 * time and parsed where they are; a long payload is read straight to where it belongs.
 */
export class Inbox implements Receiver {
  /** What has come and was not consumed is `buffer` from `start` to `end`. */
  buffer: Buffer;
  start = 0;
  end = 0;
  readonly #arrived: () => void;
  readonly #ended: (error?: Error) => void;
  #incoming: Incoming | undefined;
  /** The space given to the transport is the incoming payload's. */
  #armedPayload = false;
  /** The last payload was long: read no further than this many bytes of the next header. */
  #alone = 0;

  /**
   * @param leftover what came together with the end of the handshake.
   * @param arrived called when more can be parsed.
   */
  constructor(leftover: Uint8Array, arrived: () => void, ended: (error?: Error) => void) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(CAPACITY, leftover.length) + RESERVE);
    this.buffer.set(leftover);
    this.end = leftover.length;
    this.#arrived = arrived;
    this.#ended = ended;
  }

  /** Bytes that can be parsed. */
  get available(): number {
    return this.end - this.start;
  }

  /** A payload is being received: there is nothing to parse until it is complete. */
  get expecting(): boolean {
    return this.#incoming !== undefined;
  }

  /**
   * Receives the next bytes into `data`, at least one byte, then calls `complete`.
   * @param headerSize bytes that the next header has at least.
   */
  expect(data: Data, headerSize: number, complete: () => void): void {
    const views = viewsOf(data);
    const length = views.reduce((sum, view) => sum + view.length, 0);
    this.#alone = length >= DIRECT ? headerSize : 0;
    this.#incoming = { views, index: 0, at: 0, complete };
    while (this.#incoming && this.available > 0) this.#fill(this.#incoming);
  }

  /** The next `length` bytes, which are there; valid until more is received. */
  take(length: number): Buffer {
    this.start += length;
    return this.buffer.subarray(this.start - length, this.start);
  }

  /** Where a header goes that is received with the end of a payload, while nothing else is here. */
  headerSpace(headerSize: number): Uint8Array {
    this.start = this.end = 0;
    this.#alone = headerSize;
    return this.buffer.subarray(0, headerSize);
  }

  /** So many bytes have come into that space. */
  headerCame(count: number): void {
    this.end += count;
  }

  /** So much has come that nothing more is read before some of it is taken. */
  get full(): boolean {
    return this.available >= CAPACITY;
  }

  /** Forgets the payload that is being received. */
  abandon(): void {
    this.#incoming = undefined;
    this.#armedPayload = false;
  }

  space(): Uint8Array {
    const incoming = this.#incoming;
    this.#armedPayload = incoming !== undefined;
    if (incoming) return incoming.views[incoming.index]!.subarray(incoming.at);
    if (this.start > 0) {
      this.buffer.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    if (this.end === this.buffer.length) this.#grow();
    return this.#room();
  }

  /** The next header comes in the same read as the end of a payload. */
  beyond(): Uint8Array | undefined {
    const incoming = this.#incoming;
    if (!incoming || incoming.index < incoming.views.length - 1) return undefined;
    this.start = this.end = 0;
    return this.#room();
  }

  #room(): Uint8Array {
    const full = this.buffer.length - RESERVE;
    const limit = this.end < this.#alone ? this.#alone : this.end < full ? full : undefined;
    return this.buffer.subarray(this.end, limit);
  }

  received(count: number): void {
    const incoming = this.#incoming;
    if (this.#armedPayload && incoming) {
      const wanted = incoming.views[incoming.index]!.length - incoming.at;
      this.end += Math.max(0, count - wanted);
      this.#advance(incoming, Math.min(count, wanted));
    } else if (!this.#armedPayload) {
      this.end += count;
      while (this.#incoming && this.available > 0) this.#fill(this.#incoming);
    }
    this.#arrived();
  }

  ended(error?: Error): void {
    this.abandon();
    this.#ended(error);
  }

  /** What was read for the handshake, or by a stream, may be more than has room here. */
  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(2 * this.buffer.length);
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }

  #fill(incoming: Incoming): void {
    const view = incoming.views[incoming.index]!;
    const count = Math.min(view.length - incoming.at, this.available);
    view.set(this.buffer.subarray(this.start, this.start + count), incoming.at);
    this.start += count;
    this.#advance(incoming, count);
  }

  #advance(incoming: Incoming, count: number): void {
    incoming.at += count;
    if (incoming.at < incoming.views[incoming.index]!.length) return;
    incoming.index += 1;
    incoming.at = 0;
    if (incoming.index < incoming.views.length) return;
    this.#incoming = undefined;
    incoming.complete();
  }
}
