import { byteLength, isKnownZero, viewsOf } from '../block/data.ts';
import type { Data, StatusRun } from '../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { Reply, SIMPLE_REPLY_SIZE } from '../protocol/constants.ts';
import { errorNumber } from '../protocol/errors.ts';
import {
  type Cookie,
  chunkHeaderSize,
  encodeChunkHeader,
  encodeErrorPayload,
  encodeHole,
  encodeSimpleReply,
  encodeStatus,
} from '../protocol/reply.ts';
import type { Transport } from '../transport/transport.ts';
import type { Terms } from './export.ts';
import { place } from './shared-payloads.ts';

const SLAB = 1 << 14;
/** Shorter runs of zeroes are cheaper as data than as a chunk of their own. */
const SHORTEST_HOLE = 512;

/** Collects replies, in the form that was agreed, to send them in one gathered write. */
export class Outbox {
  readonly #transport: Transport;
  readonly #structured: boolean;
  readonly #extended: boolean;
  readonly #chunkSize: number;
  #views: Uint8Array[] = [];
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB);
  #used = 0;
  /** Bytes collected and not yet sent. */
  bytes = 0;
  /** Bytes put into shared memory, of which the client has not been told. */
  placed = 0;
  /** Answers that were begun since everything was sent. */
  unsent = 0;

  constructor(transport: Transport, terms: Terms) {
    this.#transport = transport;
    this.#structured = terms.structured;
    this.#extended = terms.extended;
    this.#chunkSize = chunkHeaderSize(terms.extended);
  }

  /** Success, without data. */
  success(cookie: Cookie): void {
    if (this.#extended) this.#chunk(cookie, Reply.none, true, 0);
    else this.#simple(cookie, 0);
  }

  /** Success of a request for no bytes, in a form that is right for a read too. */
  nothing(cookie: Cookie): void {
    if (this.#structured) this.#chunk(cookie, Reply.none, true, 0);
    else this.#simple(cookie, 0);
  }

  failure(cookie: Cookie, error: unknown): void {
    const number = errorNumber(errnoOf(error));
    if (!this.#structured) {
      this.#simple(cookie, number);
      return;
    }
    const words = error instanceof BlockError ? messageOf(error) : errnoOf(error);
    const payload = encodeErrorPayload(number, words);
    this.#chunk(cookie, Reply.error, true, payload.length);
    this.#push(payload);
  }

  /** The whole answer to a read. `df`: as one chunk. */
  read(cookie: Cookie, data: Data, df: boolean): void {
    if (!this.#structured) {
      this.#simple(cookie, 0);
      this.raw(data);
    } else {
      this.readPart(cookie, cookie.offset, data, df, true);
    }
  }

  /**
   * A part of the answer to a read, as data and hole chunks; `last`: nothing follows.
   * @param slot shared memory for the data, which then are not sent.
   */
  readPart(
    cookie: Cookie,
    offset: bigint,
    data: Data,
    df: boolean,
    last: boolean,
    slot?: Uint8Array,
  ): void {
    if (data instanceof Uint8Array && !isKnownZero(data)) {
      this.#data(cookie, offset, data, data.length, last, slot);
      return;
    }
    const runs = df ? [{ zero: false, data: viewsOf(data) }] : runsOf(viewsOf(data));
    let at = offset;
    for (const [index, run] of runs.entries()) {
      const done = last && index === runs.length - 1;
      const length = byteLength(run.data);
      if (run.zero) {
        this.#chunk(cookie, Reply.offsetHole, done, 12);
        this.#push(encodeHole(at, length));
      } else {
        const from = Number(at - offset);
        this.#data(cookie, at, run.data, length, done, slot?.subarray(from, from + length));
      }
      at += BigInt(length);
    }
  }

  #data(
    cookie: Cookie,
    offset: bigint,
    data: Data,
    length: number,
    done: boolean,
    slot: Uint8Array | undefined,
  ): void {
    if (slot) {
      place(slot, data);
      this.placed += length;
      this.#chunk(cookie, Reply.sharedData, done, 12);
      this.#push(encodeHole(offset, length));
    } else {
      this.#dataChunk(cookie, offset, length, done);
      this.raw(data);
    }
  }

  /** The header of an answer to a read whose `length` bytes follow piecemeal by `raw`. */
  readHeader(cookie: Cookie, length: number): void {
    if (this.#structured) this.#dataChunk(cookie, cookie.offset, length, true);
    else this.#simple(cookie, 0);
  }

  raw(data: Data): void {
    for (const view of viewsOf(data)) this.#push(view);
  }

  status(cookie: Cookie, contextId: number, runs: readonly StatusRun[], last: boolean): void {
    const payload = encodeStatus(contextId, runs, this.#extended);
    const type = this.#extended ? Reply.blockStatusExt : Reply.blockStatus;
    this.#chunk(cookie, type, last, payload.length);
    this.#push(payload);
  }

  /** Hands everything to the transport. */
  flush(): void {
    if (this.bytes === 0) return;
    const views = this.#views;
    this.#views = [];
    this.bytes = 0;
    this.placed = 0;
    this.#transport.send(views);
    if (this.#transport.queued === 0) {
      this.#used = 0;
      this.unsent = 0;
    }
  }

  #simple(cookie: Cookie, error: number): void {
    this.unsent += 1;
    const at = this.#reserve(SIMPLE_REPLY_SIZE);
    encodeSimpleReply(this.#slab, at, cookie, error);
    this.#push(this.#slab.subarray(at, at + SIMPLE_REPLY_SIZE));
  }

  #chunk(cookie: Cookie, type: number, done: boolean, length: number): void {
    if (done) this.unsent += 1;
    const at = this.#reserve(this.#chunkSize);
    encodeChunkHeader(this.#slab, at, cookie, type, done, length, this.#extended);
    this.#push(this.#slab.subarray(at, at + this.#chunkSize));
  }

  /** The header of a data chunk and the offset with which its payload begins. */
  #dataChunk(cookie: Cookie, offset: bigint, length: number, done: boolean): void {
    if (done) this.unsent += 1;
    const size = this.#chunkSize + 8;
    const at = this.#reserve(size);
    encodeChunkHeader(this.#slab, at, cookie, Reply.offsetData, done, length + 8, this.#extended);
    this.#slab.writeBigUInt64BE(offset, at + this.#chunkSize);
    this.#push(this.#slab.subarray(at, at + size));
  }

  /** Room for a header. A slab that the transport still sends from is left to it. */
  #reserve(size: number): number {
    if (this.#used + size > SLAB) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += size;
    return at;
  }

  #push(view: Uint8Array): void {
    this.#views.push(view);
    this.bytes += view.length;
  }
}

/** Neighbouring views of one kind, known zeroes or data, taken together. */
function runsOf(views: readonly Uint8Array[]): { zero: boolean; data: Uint8Array[] }[] {
  const runs: { zero: boolean; data: Uint8Array[] }[] = [];
  for (const view of views) {
    const zero = view.length >= SHORTEST_HOLE && isKnownZero(view);
    const last = runs.at(-1);
    if (last && last.zero === zero) last.data.push(view);
    else runs.push({ zero, data: [view] });
  }
  return runs;
}
