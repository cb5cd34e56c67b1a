import type { Data, Memory } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import {
  Command,
  MAX_EXTENTS,
  REPLY_ERROR_BIT,
  REPLY_FLAG_DONE,
  Reply,
} from '../protocol/constants.ts';
import { errnoOfNumber, ProtocolError } from '../protocol/errors.ts';
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
import type { Answer, Pending, Statuses } from './pending.ts';
import { Reading } from './reading.ts';

const SLAB = 1 << 14;
/** An error chunk: its fields and the longest text. */
const MAX_ERROR_PAYLOAD = 4096 + 14;
const MAX_STATUS_PAYLOAD = 8 + 16 * MAX_EXTENTS;
const MAX_ERROR_CHUNKS = 1024;

/** How replies look on this connection. */
export interface Form {
  readonly structured: boolean;
  readonly extended: boolean;
  /** Names of the metadata contexts by their ids. */
  readonly contexts: ReadonlyMap<number, string>;
}

/** A request as its caller makes it; the engine adds the cookie. */
export type Wish = Omit<RequestHeader, 'cookieHigh' | 'cookieLow'>;

/**
 * The transmission phase as a client sees it: any number of requests under way, answered in any
 * order. A server that does not keep to the protocol fails them all and loses the connection.
 */
export class Engine {
  readonly #transport: Transport;
  readonly #form: Form;
  readonly #inbox: Inbox;
  readonly #pending = new Map<number, Pending>();
  #nextCookie = 1;
  #slab = Buffer.allocUnsafeSlow(SLAB);
  #used = 0;
  #outgoing: Uint8Array[] = [];
  #scheduled = false;
  #failure: BlockError | undefined;
  #idle: (() => void) | undefined;

  constructor(transport: Transport, form: Form, leftover: Uint8Array) {
    this.#transport = transport;
    this.#form = form;
    this.#inbox = new Inbox(
      leftover,
      () => this.#arrived(),
      error => this.#ended(error),
    );
    transport.attach(this.#inbox);
    this.#arrived();
  }

  /** Requests that are not answered yet. */
  get inFlight(): number {
    return this.#pending.size;
  }

  read(wish: Wish, memory?: Memory): Promise<Data> {
    return this.#send(wish, undefined, {
      reading: new Reading(wish.length, memory),
    }) as Promise<Data>;
  }

  /** @param contexts the ids that the payload names; unless given, all that were agreed on. */
  status(wish: Wish, payload?: Uint8Array, contexts?: readonly number[]): Promise<Statuses> {
    const wanted = contexts?.length ?? this.#form.contexts.size;
    return this.#send(wish, payload, { statuses: new Map(), wanted }) as Promise<Statuses>;
  }

  /** A command without data in its answer. */
  command(wish: Wish, payload?: Uint8Array): Promise<void> {
    return this.#send(wish, payload, {}) as Promise<void>;
  }

  /** Waits for the answers under way, says goodbye and closes. Never rejects. */
  async disconnect(): Promise<void> {
    if (this.#pending.size > 0) {
      await new Promise<void>(resolve => {
        const earlier = this.#idle;
        this.#idle = () => {
          earlier?.();
          resolve();
        };
      });
    }
    if (!this.#failure) {
      this.#failure = new BlockError('ESHUTDOWN', 'the connection was closed');
      const goodbye = { type: Command.disconnect, flags: 0, offset: 0n, length: 0 };
      this.#push({ ...goodbye, cookieHigh: 0, cookieLow: 0 }, undefined);
      this.#flush();
    }
    await this.#transport.end();
  }

  /** Fails what is under way and hangs up. */
  abort(error: BlockError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#inbox.abandon();
    this.#transport.destroy();
    const failed = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of failed) pending.reject(error);
    this.#idle?.();
  }

  #send(
    wish: Wish,
    payload: Uint8Array | undefined,
    parts: Pick<Pending, 'reading' | 'statuses' | 'wanted'>,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const cookie = this.#nextCookie;
      this.#nextCookie = cookie === 0xffffffff ? 1 : cookie + 1;
      const request = { ...wish, cookieHigh: 0, cookieLow: cookie };
      const pending = { request, ...parts, error: undefined, errorChunks: 0, resolve, reject };
      this.#pending.set(cookie, pending);
      this.#push(request, payload);
    });
  }

  /** Requests made in one turn of the event loop go out together. */
  #push(request: RequestHeader, payload: Uint8Array | undefined): void {
    const size = requestSize(this.#form.extended);
    if (this.#used + size > SLAB) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#used = 0;
    }
    encodeRequest(this.#slab, this.#used, request, this.#form.extended);
    this.#outgoing.push(this.#slab.subarray(this.#used, this.#used + size));
    this.#used += size;
    if (payload) this.#outgoing.push(payload);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#outgoing.length === 0) return;
    const views = this.#outgoing;
    this.#outgoing = [];
    this.#transport.send(views);
    if (this.#transport.queued === 0) this.#used = 0;
  }

  #ended(error?: Error): void {
    this.abort(
      new BlockError(
        'ECONNRESET',
        `the server closed the connection${error ? `: ${error.message}` : ''}`,
        {
          cause: error,
        },
      ),
    );
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
    const { reading, statuses, request } = pending;
    if (header.error !== 0) {
      pending.error = this.#serverError(header.error, '', request);
    } else if (statuses || (reading && this.#form.structured)) {
      throw new ProtocolError('the server sent a simple reply where chunks were agreed on');
    } else if (reading) {
      this.#expect(reading.data(0, request.length), () => this.#finish(pending));
      return;
    }
    this.#finish(pending);
  }

  #chunk(header: ReplyHeader, size: number, pending: Pending): boolean {
    const inbox = this.#inbox;
    const { type, length } = header;
    const fixed = type === Reply.offsetData ? 8 : type === Reply.offsetHole ? 12 : 0;
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
      this.#dataChunk(pending, at, length - 8, done);
    } else if (type === Reply.offsetHole) {
      if (length !== 12) throw new ProtocolError('a hole chunk has a wrong length');
      this.#readingOf(pending).hole(this.#startOf(pending, at), inbox.buffer.readUInt32BE(at + 8));
      done();
    } else {
      this.#payloadChunk(header, pending, done);
    }
    return true;
  }

  #dataChunk(pending: Pending, at: number, length: number, done: () => void): void {
    const reading = this.#readingOf(pending);
    this.#expect(reading.data(this.#startOf(pending, at), length), done);
  }

  #readingOf(pending: Pending): Reading {
    if (pending.reading) return pending.reading;
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
    if (!pending.statuses || context === undefined) {
      throw new ProtocolError('the server sent a block status that was not asked for');
    }
    if (pending.statuses.has(context)) {
      throw new ProtocolError(`the server sent the status of ${context} twice`);
    }
    pending.statuses.set(context, runs);
  }

  #expect(data: Uint8Array, complete: () => void): void {
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
    let answer: Answer;
    if (!pending.error) {
      answer = pending.reading?.result() ?? pending.statuses;
      if (pending.statuses && pending.statuses.size !== pending.wanted) {
        throw new ProtocolError('the server left out the status of a metadata context');
      }
    }
    this.#pending.delete(pending.request.cookieLow);
    if (pending.error) pending.reject(pending.error);
    else pending.resolve(answer);
    if (this.#pending.size === 0) this.#idle?.();
  }

  #serverError(
    number: number,
    message: string,
    request: Readonly<RequestHeader>,
    offset = request.offset,
  ): BlockError {
    const errno = errnoOfNumber(number);
    return new BlockError(errno, `the server said ${message || errno}`, { offset });
  }
}
