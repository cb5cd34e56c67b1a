import { viewsOf } from '../block/data.ts';
import { type BlockDevice, type Data, UNTORN, type WriteBuffer } from '../block/device.ts';
import { put } from '../block/write-buffer.ts';
import type { RequestHeader } from '../protocol/request.ts';
import { DIRECT, type Inbox } from '../transport/inbox.ts';
import type { Transport } from '../transport/transport.ts';
import type { Payloads } from './payloads.ts';

/** The connection that a write comes by. */
export interface WriteHost {
  readonly device: BlockDevice;
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly payloads: Payloads;
  /** Bytes of the header of a request. */
  readonly headerSize: number;
  /** Most bytes of payload that may be held at once. */
  share(): number;
  /** Sends the answers that are ready, before time is spent on waiting. */
  flush(): void;
  /**
   * All bytes of a piece are there: it is written, and `payload` given back; then the rest is
   * received, if there is more to come, or the request answered.
   */
  arrived(piece: Piece, rest?: Rest): void;
  /** Bytes of the payload that are still to come belong to nothing. */
  failed(request: RequestHeader, left: number, error: unknown): void;
}

/** What comes after a piece. */
export interface Rest {
  /** Bytes. */
  readonly left: number;
  receive(): void;
}

/** A write, or a part of one that is too long to be held. */
export interface Piece {
  readonly request: RequestHeader;
  readonly offset: bigint;
  /** What is written, unless that is in `buffer`. */
  readonly data?: Uint8Array | undefined;
  /** Memory of `data` that is given back. */
  readonly payload?: Buffer | undefined;
  readonly buffer?: WriteBuffer | undefined;
}

/**
 * Receives the payload of a write. What has come already, or comes while one watches for it, goes
 * straight into memory that the device lends, in whole blocks; the rest is received aside, so that a
 * client which is slow or vanishes leaves no block torn.
 */
export class IncomingWrite {
  readonly #host: WriteHost;
  readonly #request: RequestHeader;
  #buffer: WriteBuffer | undefined;
  #aside: Buffer | undefined;

  constructor(host: WriteHost, request: RequestHeader) {
    this.#host = host;
    this.#request = request;
  }

  /** Receives the bytes of the payload from `done` on. */
  receive(done = 0): void {
    const { device, inbox, payloads, headerSize } = this.#host;
    const request = this.#request;
    const offset = request.offset + BigInt(done);
    const length = Math.min(this.#host.share(), request.length - done);
    let placed = 0;
    try {
      const buffer = device.writeBuffer?.(offset, length);
      this.#buffer = buffer;
      placed = buffer ? this.#place(buffer.memory, offset, length) : 0;
      if (placed === length) {
        this.#arrived(done + length, { request, offset, buffer });
        return;
      }
      this.#aside = payloads.take(length - placed);
    } catch (error) {
      this.cancel();
      this.#host.failed(request, request.length - done - placed, error);
      return;
    }
    inbox.expect(this.#aside, headerSize, () => this.#complete(done + length, offset, placed));
  }

  /** The rest will not come. */
  cancel(): void {
    this.#buffer?.abandon();
    this.#buffer = undefined;
    if (this.#aside) this.#host.payloads.give(this.#aside);
    this.#aside = undefined;
  }

  /** What was received aside goes where it belongs. */
  #complete(done: number, offset: bigint, placed: number): void {
    const request = this.#request;
    const payload = this.#aside!;
    const buffer = this.#buffer;
    this.#aside = undefined;
    if (!buffer) {
      this.#arrived(done, { request, offset, data: payload, payload });
      return;
    }
    put(buffer.memory, placed, payload);
    this.#host.payloads.give(payload);
    this.#arrived(done, { request, offset, buffer });
  }

  #arrived(done: number, piece: Piece): void {
    this.#buffer = undefined;
    const left = this.#request.length - done;
    this.#host.arrived(piece, left > 0 ? { left, receive: () => this.receive(done) } : undefined);
  }

  /** Puts into lent memory what is there at once; gives its length, all or whole blocks. */
  #place(memory: Data, offset: bigint, length: number): number {
    const { inbox } = this.#host;
    if (inbox.available >= length) {
      put(memory, 0, inbox.take(length));
      return length;
    }
    const direct = inbox.available === 0 && length >= DIRECT;
    return direct ? this.#receiveNow(memory, offset, length) : 0;
  }

  #receiveNow(memory: Data, offset: bigint, length: number): number {
    const { transport, inbox, headerSize } = this.#host;
    const start = Number(offset % BigInt(UNTORN));
    let done = 0;
    for (const view of viewsOf(memory)) {
      for (let at = 0; at < view.length; ) {
        const left = length - done;
        const block = UNTORN - ((start + done) % UNTORN);
        const ready = transport.ready?.(Math.min(left, block), () => this.#host.flush()) ?? 0;
        const whole = ready >= left ? left : ready - ((start + done + ready) % UNTORN);
        if (whole <= 0) return done;
        const part = view.subarray(at, at + whole);
        const next = part.length === left ? inbox.headerSpace(headerSize) : undefined;
        const count = transport.receive!(part, next);
        if (count === 0) return done;
        inbox.headerCame(Math.max(0, count - part.length));
        at += Math.min(count, part.length);
        done += Math.min(count, part.length);
      }
    }
    return done;
  }
}
