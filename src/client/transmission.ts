import type { BlockSize, Data, Memory } from '../block/device.ts';
import { BlockError, reasonOf } from '../block/errors.ts';
import {
  Command,
  CommandFlag,
  MAX_EXTENTS,
  REPLY_ERROR_BIT,
  REPLY_FLAG_DONE,
  Reply,
} from '../protocol/constants.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  decodeErrorPayload,
  decodeReplyHeader,
  decodeStatus,
  type ReplyHeader,
  replyHeaderSize,
} from '../protocol/reply.ts';
import { encodeRequest, type RequestHeader, requestSize } from '../protocol/request.ts';
import { Inbox } from '../transport/inbox.ts';
import type { Transport } from '../transport/transport.ts';
import type { Answer, Expected, Pending, Request, Statuses } from './pending.ts';
import { Reading } from './reading.ts';
import { requestError } from './refusal.ts';
import type { SharedSlots, Slot } from './shared-slots.ts';
import { AbortListeners } from './signals.ts';

const SLAB = 1 << 14;
/** Answers of so many bytes come at once. */
const SHORT = 1 << 14;
/** An error chunk: its fields and the longest text. */
const MAX_ERROR_PAYLOAD = 4096 + 14;
const MAX_STATUS_PAYLOAD = 8 + 16 * MAX_EXTENTS;
const MAX_ERROR_CHUNKS = 1024;
/** Longest time that Node can set a timer to, in ms. */
const LONGEST_WAIT = 2 ** 31 - 1;

/** How replies look on this connection. */
export interface Form {
  readonly structured: boolean;
  readonly extended: boolean;
  /** Names of the metadata contexts by their ids. */
  readonly contexts: ReadonlyMap<number, string>;
  readonly blockSize: BlockSize | undefined;
  /** Memory for payloads that the server has mapped. */
  readonly shared: SharedSlots | undefined;
}

/** Bytes with which the payloads of these chunks begin. */
const FIXED: Readonly<Record<number, number>> = {
  [Reply.offsetData]: 8,
  [Reply.offsetHole]: 12,
  [Reply.sharedData]: 12,
};

const NOTHING: Expected = { kind: 'nothing' };

/**
 * The transmission phase as a client sees it: any number of requests under way, answered in any
 * order. A server that does not keep to the protocol fails them all and loses the connection.
 * A request whose signal is aborted rejects with the signal's reason as soon as nothing is put into
 * or taken from its memory any more, and its reply is passed over when it comes.
 */
export class Transmission {
  readonly #transport: Transport;
  readonly #form: Form;
  readonly #inbox: Inbox;
  readonly #pending = new Map<number, Pending>();
  #nextCookie = 1;
  #slab = Buffer.allocUnsafeSlow(SLAB);
  #used = 0;
  #outgoing: Uint8Array[] = [];
  #scheduled = false;
  /** The connection is of no more use. */
  #failure: BlockError | undefined;
  /** No request is taken any more. */
  #refusal: BlockError | undefined;
  #closing: Promise<void> | undefined;
  /** While it is closing: runs out when the server is silent for too long. */
  #patience: NodeJS.Timeout | undefined;
  #idle: (() => void) | undefined;
  readonly #signals = new AbortListeners();
  /** Whose payload is being received. */
  #receiving: Pending | undefined;
  /** What waits for that payload, as its memory is in use, and for all to be sent. */
  #whenReceived: (() => void) | undefined;
  #whenSent: (() => void)[] = [];

  constructor(transport: Transport, form: Form, leftover: Uint8Array) {
    this.#transport = transport;
    this.#form = form;
    this.#inbox = new Inbox(
      leftover,
      () => this.#arrived(),
      error => this.#ended(error),
    );
    transport.onDrain = () => this.#memoryIsFree();
    transport.attach(this.#inbox);
    this.#arrived();
  }

  /** Requests that are not answered yet, those that were given up among them. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /** No request is taken any more. */
  get ended(): boolean {
    return this.#refusal !== undefined;
  }

  read(request: Request, memory?: Memory, signal?: AbortSignal): Promise<Data> {
    let given = memory;
    let slot: Slot | undefined;
    if (this.#form.shared) {
      slot = this.#form.shared.forRead(request, length => {
        const bytes = memory!(length);
        given = () => bytes;
        return bytes;
      });
    }
    const reading = new Reading(request.length, given);
    return this.#send(request, undefined, { kind: 'data', reading }, signal, slot) as Promise<Data>;
  }

  /** @param contexts the ids that the payload names; unless given, all that were agreed on. */
  status(
    request: Request,
    signal?: AbortSignal,
    payload?: Uint8Array,
    contexts?: readonly number[],
  ): Promise<Statuses> {
    const wanted = contexts?.length ?? this.#form.contexts.size;
    const expected: Expected = { kind: 'statuses', statuses: new Map(), wanted };
    return this.#send(request, payload, expected, signal) as Promise<Statuses>;
  }

  /** A command without data in its answer. */
  command(request: Request, signal?: AbortSignal, payload?: Uint8Array): Promise<void> {
    const slot = payload && this.#form.shared?.forWrite(request, payload);
    const sent = slot ? undefined : payload;
    return this.#send(request, sent, NOTHING, signal, slot) as Promise<void>;
  }

  /**
   * Waits for the answers under way, says goodbye and closes. Never rejects.
   * @param timeout ms without an answer after which the connection is dropped.
   */
  disconnect(timeout: number): Promise<void> {
    this.#closing ??= this.#disconnect(timeout);
    return this.#closing;
  }

  async #disconnect(timeout: number): Promise<void> {
    const closed = new BlockError('ESHUTDOWN', 'the connection was closed');
    this.#refusal ??= closed;
    const giveUp = () => {
      this.abort(new BlockError('ETIMEDOUT', `the server did not answer for ${timeout} ms`));
      this.#transport.destroy();
    };
    this.#patience = setTimeout(giveUp, Math.min(timeout, LONGEST_WAIT));
    if (this.#pending.size > 0) {
      await new Promise<void>(resolve => {
        this.#idle = resolve;
      });
    }
    if (!this.#failure) {
      this.#failure = closed;
      const goodbye = { type: Command.disconnect, flags: 0, offset: 0n, length: 0 };
      this.#push({ ...goodbye, cookieHigh: 0, cookieLow: 0 }, undefined);
      this.#flush();
    }
    await this.#transport.end();
    clearTimeout(this.#patience);
  }

  /** Fails what is under way and hangs up. */
  abort(error: BlockError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#refusal = error;
    this.#inbox.abandon();
    this.#transport.destroy();
    this.#memoryIsFree();
    this.#received();
    const failed = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of failed) pending.reject(error);
    this.#idle?.();
  }

  #send(
    fields: Request,
    payload: Uint8Array | undefined,
    expected: Expected,
    signal: AbortSignal | undefined,
    slot?: Slot,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted || this.#refusal) {
        if (slot) this.#form.shared!.give(slot);
        reject(signal?.aborted ? signal.reason : this.#refusal);
        return;
      }
      const cookie = this.#nextCookie;
      this.#nextCookie = cookie === 0xffffffff ? 1 : cookie + 1;
      const request = { ...fields, cookieHigh: 0, cookieLow: cookie };
      if (slot) {
        request.flags = (fields.flags & ~CommandFlag.payloadLength) | CommandFlag.shared;
        request.place = slot.place;
      }
      const header = this.#push(request, payload);
      const answer = { error: undefined, errorChunks: 0, slot, resolve, reject };
      const pending: Pending = { request, expected, ...answer };
      this.#pending.set(cookie, pending);
      if (signal) this.#heed(signal, pending, header, payload);
    });
  }

  /** Gives the request up when the signal is aborted before it is answered. */
  #heed(signal: AbortSignal, pending: Pending, header: Uint8Array, payload?: Uint8Array): void {
    const giveUp = () => this.#giveUp(pending, signal.reason, header, payload);
    const { resolve, reject } = pending;
    pending.resolve = answer => {
      this.#signals.remove(signal, giveUp);
      resolve(answer);
    };
    pending.reject = error => {
      this.#signals.remove(signal, giveUp);
      reject(error);
    };
    this.#signals.add(signal, giveUp);
  }

  #giveUp(pending: Pending, reason: unknown, header: Uint8Array, payload?: Uint8Array): void {
    const reject = () => pending.reject(reason);
    const unsent = this.#outgoing.indexOf(header);
    if (unsent >= 0) {
      this.#outgoing.splice(unsent, payload ? 2 : 1);
      reject();
      this.#forget(pending);
      return;
    }
    if (pending.slot && !pending.slot.own) {
      // The server may still write into the caller's memory, or read it.
      const { reject: refuse } = pending;
      pending.resolve = pending.reject = () => refuse(reason);
      return;
    }
    if (pending.expected.kind === 'data') pending.expected.reading.discard();
    if (pending === this.#receiving) this.#whenReceived = reject;
    else if (payload && this.#transport.queued > 0) this.#whenSent.push(reject);
    else reject();
  }

  #memoryIsFree(): void {
    if (this.#whenSent.length === 0) return;
    const waiting = this.#whenSent;
    this.#whenSent = [];
    for (const done of waiting) done();
  }

  /** The payload on its way has come in full, or will never come. */
  #received(): void {
    this.#receiving = undefined;
    const done = this.#whenReceived;
    this.#whenReceived = undefined;
    done?.();
  }

  /** Requests made in one turn of the event loop go out together. */
  #push(request: RequestHeader, payload: Uint8Array | undefined): Uint8Array {
    const size = requestSize(this.#form);
    if (this.#used + size > SLAB) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#used = 0;
    }
    encodeRequest(this.#slab, this.#used, request, this.#form);
    const header = this.#slab.subarray(this.#used, this.#used + size);
    this.#used += size;
    this.#outgoing.push(header);
    if (payload) this.#outgoing.push(payload);
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => this.#flush());
    }
    return header;
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#outgoing.length === 0) return;
    const views = this.#outgoing;
    this.#outgoing = [];
    this.#transport.send(views);
    if (this.#transport.queued === 0) this.#used = 0;
    if (this.#pending.size === 1 && this.#isQuick()) this.#transport.lookForAnswer?.();
  }

  /** The only answer is not long. */
  #isQuick(): boolean {
    const [only] = this.#pending.values();
    const { request, expected, slot } = only!;
    return slot !== undefined || expected.kind !== 'data' || request.length <= SHORT;
  }

  #ended(error?: Error): void {
    const words = `the server closed the connection${error ? `: ${reasonOf(error)}` : ''}`;
    this.abort(new BlockError('ECONNRESET', words, { cause: error }));
  }

  #arrived(): void {
    try {
      while (!this.#failure && !this.#inbox.expecting && this.#parse());
    } catch (error) {
      this.abort(error instanceof BlockError ? error : new ProtocolError(String(error)));
    }
  }

  /** Takes one message; false: it has not come in full. */
  #parse(): boolean {
    const inbox = this.#inbox;
    if (inbox.available < 4) return false;
    const magic = inbox.buffer.readUInt32BE(inbox.start);
    const size = replyHeaderSize(magic, this.#form.extended);
    if (inbox.available < size) return false;
    const header = decodeReplyHeader(inbox.buffer, inbox.start);
    const pending = this.#pending.get(header.cookieLow);
    if (!pending || header.cookieHigh !== 0) {
      throw new ProtocolError('the server answered a request that nobody made: wrong cookie');
    }
    if (header.kind === 'simple') {
      inbox.start += size;
      this.#simple(header, pending);
      return true;
    }
    if (!this.#form.structured) throw new ProtocolError('the server sent a chunk unasked');
    if (header.offset !== undefined && header.offset !== pending.request.offset) {
      throw new ProtocolError('the server repeated the offset of another request');
    }
    return this.#chunk(header, size, pending);
  }

  #simple(header: ReplyHeader, pending: Pending): void {
    const { expected, request } = pending;
    if (header.error !== 0) {
      pending.error = this.#serverError(header.error, '', request);
    } else if (
      expected.kind === 'statuses' ||
      (expected.kind === 'data' && this.#form.structured)
    ) {
      throw new ProtocolError('the server sent a simple reply where chunks were agreed on');
    } else if (expected.kind === 'data') {
      this.#receive(pending, expected.reading, 0, request.length, () => this.#finish(pending));
      return;
    }
    this.#finish(pending);
  }

  #chunk(header: ReplyHeader, size: number, pending: Pending): boolean {
    const inbox = this.#inbox;
    const { type, length } = header;
    const fixed = FIXED[type] ?? 0;
    if (length < fixed) throw new ProtocolError('a content chunk is too short');
    if (inbox.available < size + fixed) return false;
    const at = inbox.start + size;
    inbox.start = at + fixed;
    const done = () => {
      if ((header.flags & REPLY_FLAG_DONE) !== 0) this.#finish(pending);
    };
    if (type === Reply.none) {
      if (length !== 0) throw new ProtocolError('an empty chunk has a payload');
      if ((header.flags & REPLY_FLAG_DONE) === 0) throw new ProtocolError('an empty chunk is last');
      done();
    } else if (type === Reply.offsetData) {
      const start = this.#startOf(pending, at);
      this.#receive(pending, this.#readingOf(pending), start, length - 8, done);
    } else if (type === Reply.offsetHole) {
      if (length !== 12) throw new ProtocolError('a hole chunk has a wrong length');
      this.#readingOf(pending).hole(this.#startOf(pending, at), inbox.buffer.readUInt32BE(at + 8));
      done();
    } else if (type === Reply.sharedData) {
      this.#placed(pending, this.#startOf(pending, at), inbox.buffer.readUInt32BE(at + 8), length);
      done();
    } else {
      this.#payloadChunk(header, pending, done);
    }
    return true;
  }

  #receive(
    pending: Pending,
    reading: Reading,
    start: number,
    length: number,
    done: () => void,
  ): void {
    const memory = reading.data(start, length);
    this.#receiving = pending;
    this.#expect(memory, () => {
      this.#received();
      done();
    });
  }

  #placed(pending: Pending, start: number, length: number, size: number): void {
    const { slot } = pending;
    if (!slot) throw new ProtocolError('the server put data into memory that is not shared');
    if (size !== 12) throw new ProtocolError('a chunk of shared data has a wrong length');
    this.#readingOf(pending).placed(start, length, slot.own ? slot.bytes : undefined);
  }

  #readingOf({ expected }: Pending): Reading {
    if (expected.kind === 'data') return expected.reading;
    throw new ProtocolError('the server sent data in answer to something that is not a read');
  }

  /** The chunk's offset relative to its request; outside of it, the reading finds out. */
  #startOf(pending: Pending, at: number): number {
    return Number(this.#inbox.buffer.readBigUInt64BE(at) - pending.request.offset);
  }

  /** Error and status chunks, which are taken as a whole. */
  #payloadChunk(header: ReplyHeader, pending: Pending, done: () => void): void {
    const { type, length } = header;
    const isError = (type & REPLY_ERROR_BIT) !== 0;
    const isStatus = type === (this.#form.extended ? Reply.blockStatusExt : Reply.blockStatus);
    if (!isError && !isStatus) throw new ProtocolError(`the server sent an unknown chunk ${type}`);
    if (length < 1 || length > (isError ? MAX_ERROR_PAYLOAD : MAX_STATUS_PAYLOAD)) {
      throw new ProtocolError(`the server sent a chunk of ${length} bytes`);
    }
    const payload = Buffer.allocUnsafe(length);
    this.#expect(payload, () => {
      if (isError) this.#errorChunk(type, payload, pending);
      else this.#statusChunk(payload, pending);
      done();
    });
  }

  #errorChunk(type: number, payload: Buffer, pending: Pending): void {
    const { error, message, offset } = decodeErrorPayload(type, payload);
    pending.error ??= this.#serverError(error, message, pending.request, offset);
    pending.errorChunks += 1;
    if (pending.errorChunks > MAX_ERROR_CHUNKS) {
      throw new ProtocolError('the server sent too many errors for one request');
    }
  }

  #statusChunk(payload: Buffer, pending: Pending): void {
    const { contextId, runs } = decodeStatus(payload, this.#form.extended);
    const context = this.#form.contexts.get(contextId);
    const { expected } = pending;
    if (expected.kind !== 'statuses' || context === undefined) {
      throw new ProtocolError('the server sent a block status that was not asked for');
    }
    if (expected.statuses.has(context)) {
      throw new ProtocolError('the server sent the status of a metadata context twice');
    }
    expected.statuses.set(context, runs);
  }

  #expect(data: Data, complete: () => void): void {
    const { extended, structured } = this.#form;
    const nextHeader = extended ? 32 : structured ? 20 : 16;
    this.#inbox.expect(data, structured ? nextHeader + 8 : nextHeader, () => {
      try {
        complete();
      } catch (error) {
        this.abort(error instanceof BlockError ? error : new ProtocolError(String(error)));
      }
    });
  }

  #finish(pending: Pending): void {
    const { expected } = pending;
    const failure =
      pending.error ?? (expected.kind === 'data' ? expected.reading.failure : undefined);
    // What does not keep to the protocol must be found while the request is still pending.
    const answer = failure === undefined ? answerOf(expected) : undefined;
    if (failure === undefined) pending.resolve(answer);
    else pending.reject(failure);
    this.#forget(pending);
  }

  #forget(pending: Pending): void {
    this.#pending.delete(pending.request.cookieLow);
    if (pending.slot) this.#form.shared!.give(pending.slot);
    if (!this.#closing) return;
    this.#patience?.refresh();
    if (this.#pending.size === 0) this.#idle?.();
  }

  #serverError(number: number, text: string, request: Request, offset?: bigint): BlockError {
    return requestError(number, text, request, this.#form.blockSize, offset);
  }
}

/** @throws ProtocolError something is missing. */
function answerOf(expected: Expected): Answer {
  if (expected.kind === 'nothing') return undefined;
  if (expected.kind === 'data') return expected.reading.result();
  const { statuses, wanted } = expected;
  if (statuses.size === wanted) return statuses;
  throw new ProtocolError('the server left out the status of a metadata context');
}
