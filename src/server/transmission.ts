import { isPromise } from '../block/answer.ts';
import type { BlockDevice, Data, ReadOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { badAnswer } from '../block/well-formed.ts';
import { Command, CommandFlag } from '../protocol/constants.ts';
import {
  decodeRequest,
  decodeStatusPayload,
  type RequestHeader,
  requestSize,
} from '../protocol/request.ts';
import { Inbox } from '../transport/inbox.ts';
import type { Transport } from '../transport/transport.ts';
import { perform, write } from './commands.ts';
import { type Export, MAX_PAYLOAD, type Terms } from './export.ts';
import { IncomingWrite, type Piece, type Rest, type WriteHost } from './incoming-write.ts';
import { Outbox } from './outbox.ts';
import { Payloads } from './payloads.ts';
import { SharedPayloads } from './shared-payloads.ts';
import { Stall } from './stall.ts';
import type { Counters } from './statistics.ts';
import { statusReply } from './status.ts';

/** Answers are sent when so many bytes have come together: more would leave the processor's cache. */
const BATCH = 1 << 18;

const SCRATCH = Buffer.allocUnsafeSlow(1 << 16);

/** With so much traffic a connection is a busy one, in bytes of reads and writes. */
const BUSY = 1 << 26;
/** What a request counts as beside its bytes. */
const REQUEST = 1 << 14;

/** How long a connection is kept for the requests of a client that is gone, in ms. */
const PATIENCE = 5000;

/** Longest list of context ids with a block status request, in bytes. */
const MAX_STATUS_PAYLOAD = 1 << 16;

/** After so many writes in a row that were there at once, other connections get their turn. */
const MOST_IN_A_ROW = 32;

/** The limits of a connection, and whom it tells what. */
export interface TransmissionHost {
  /** Most requests in flight at once. */
  readonly threads: number;
  /** Aborted when the client is gone, or the server does not wait any longer. */
  readonly gone: AbortController;
  /** Bytes of payload that this connection may hold now; changes as connections come and go. */
  share(): number;
  readonly counters: Counters;
  onError(error: unknown): void;
  /** Called whenever there has been much traffic again. */
  readonly onBusy?: () => void;
  readonly onRequest?: ((request: RequestHeader) => void) | undefined;
}

/**
 * The transmission phase of one connection. Requests are parsed where they were received, payloads
 * are received where the device wants them, answers that are ready go out together. Requests are
 * taken while answers wait, too, up to the limits: a client may send many before it reads any.
 */
export class Transmission implements WriteHost {
  readonly transport: Transport;
  readonly #export: Export;
  readonly #terms: Terms;
  readonly #host: TransmissionHost;
  readonly #outbox: Outbox;
  readonly headerSize: number;
  readonly #finished: () => void;
  /** The options of every read. */
  readonly #reading: ReadOptions;

  readonly inbox: Inbox;
  readonly payloads = new Payloads();
  readonly #shared: SharedPayloads | undefined;
  /** A write whose payload is coming in. */
  #incoming: IncomingWrite | undefined;
  #inARow = 0;

  #requests = 0;
  #paused = false;
  /** Long requests have the connection to themselves; one may begin before the last piece ends. */
  #exclusive = 0;
  /** No further requests: the client is done, or the server. */
  #closing = false;
  #closed = false;
  /** Told when the connection can go on elsewhere, or that it has ended. */
  #leaving: ((leftover: Uint8Array | undefined) => void) | undefined;
  #traffic = 0;
  /** Answers that are about to go out. */
  #settling: (() => void)[] = [];
  /** Runs out when the client is gone and its requests do not end. */
  #patience: NodeJS.Timeout | undefined;
  readonly #stall = new Stall(
    () => this.transport.queued > 0,
    () => this.#pump(),
  );

  /** @param leftover what came together with the end of the handshake. */
  constructor(
    transport: Transport,
    opened: Export,
    terms: Terms,
    host: TransmissionHost,
    leftover: Uint8Array,
    finished: () => void,
  ) {
    this.inbox = new Inbox(
      leftover,
      () => this.#pump(),
      error => this.#ended(error),
    );
    this.transport = transport;
    this.#export = opened;
    this.#terms = terms;
    this.#host = host;
    this.#finished = finished;
    this.#outbox = new Outbox(transport, terms);
    this.headerSize = requestSize(terms);
    this.#shared = terms.shared && new SharedPayloads(terms.shared, this.payloads);
    this.#reading = { memory: this.payloads.lend, signal: host.gone.signal };
    transport.onDrain = () => this.#drainedNow();
  }

  get device(): BlockDevice {
    return this.#export.device;
  }

  share(): number {
    return this.#host.share();
  }

  /** Sends the answers that are there; memory of those that are gone is used again. */
  flush(): void {
    this.#outbox.flush();
    if (this.#idle && this.transport.queued === 0) this.payloads.reclaim();
  }

  get #idle(): boolean {
    return this.#requests === 0 && this.#exclusive === 0;
  }

  start(): void {
    this.transport.attach(this.inbox);
    this.#pump();
  }

  /** Takes no further requests; the connection ends when those under way are answered. */
  close(): void {
    this.#closing = true;
    this.#pump();
  }

  /**
   * Takes no further requests, and gives up the transport when those under way are answered.
   * @returns what has come of the next ones; undefined when the connection has ended first.
   */
  leave(): Promise<Uint8Array | undefined> {
    return new Promise(resolve => {
      if (this.#closed) resolve(undefined);
      this.#leaving = resolve;
      this.#pump();
    });
  }

  #ended(error?: Error): void {
    if (error && !this.#closing) {
      const words = `connection lost: ${error.message}`;
      this.#host.onError(new BlockError('ECONNRESET', words, { cause: error }));
    }
    if (!this.#closing) this.#leave('the client is gone');
    this.#closing = true;
    this.#dropIncoming();
    this.#pump();
    if (!this.#closed) this.#patience ??= setTimeout(() => this.#desert(), PATIENCE);
  }

  /** The device may go on for as long as it likes; the connection is not kept for it. */
  #desert(): void {
    const words = `the client is gone, and its requests have not ended after ${PATIENCE} ms`;
    this.#host.onError(new BlockError('ETIMEDOUT', words));
    this.transport.destroy();
  }

  /** Whatever is under way may stop: nobody waits for it. */
  #leave(why: string): void {
    const { gone } = this.#host;
    if (!gone.signal.aborted) gone.abort(new BlockError('ESHUTDOWN', why));
  }

  #dropIncoming(): void {
    this.#incoming?.cancel();
    this.#incoming = undefined;
  }

  #drainedNow(): void {
    this.#outbox.unsent = 0;
    this.#stall.over();
    this.#pump(() => this.flush());
  }

  /** Does what can be done now: takes requests, sends answers, pauses or resumes the client. */
  #pump(first?: () => void): void {
    this.#inARow = 0;
    try {
      first?.();
      this.#parse();
    } catch (error) {
      this.#host.onError(error);
      this.#abandon();
      return;
    }
    this.flush();
    this.transport.eager = this.#requests === 0 && this.transport.queued === 0;
    const idle = this.#idle;
    if (this.#closing && idle && this.transport.queued === 0) this.#finish();
    else this.#setPaused(this.#blocked());
    if (this.#leaving && idle && this.#paused && this.transport.queued === 0) this.#depart();
  }

  /**
   * Requests that cannot be taken yet stay in the inbox. While answers wait for long it goes on
   * filling: the client may be sending what it wants to send before it reads.
   */
  #blocked(): boolean {
    const { available, expecting, full } = this.inbox;
    if (this.#closing || this.#exclusive > 0) return true;
    if (expecting) return false;
    if (this.#leaving !== undefined) return true;
    return this.transport.queued > 0 ? full || !this.#stall.isLong : available >= this.headerSize;
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused && this.transport.queued > 0) this.#stall.begin();
    if (paused) this.transport.pause();
    else this.transport.resume();
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#patience);
    this.#leave('the connection is closed');
    this.transport.onDrain = undefined;
    this.#setPaused(true);
    this.#stall.end();
    this.#finished();
    this.#leaving?.(undefined);
  }

  #depart(): void {
    if (this.#closed) return;
    this.#closed = this.#closing = true;
    this.#stall.end();
    this.transport.onDrain = undefined;
    const { buffer, start, end } = this.inbox;
    this.#leaving!(new Uint8Array(buffer.subarray(start, end)));
  }

  /** Hangs up: the stream cannot be understood any more, or what was promised cannot be sent. */
  #abandon(): void {
    this.#closing = true;
    this.#leave('the connection was given up');
    this.inbox.abandon();
    this.#dropIncoming();
    this.transport.destroy();
    if (this.#requests === 0) this.#finish();
  }

  #parse(): void {
    const inbox = this.inbox;
    while (this.#exclusive === 0 && !this.#closing && !this.#leaving && !inbox.expecting) {
      if (inbox.available < this.headerSize) return;
      if (this.#inARow >= MOST_IN_A_ROW) {
        setImmediate(() => this.#pump());
        return;
      }
      const request = decodeRequest(inbox.buffer, inbox.start, this.#terms);
      if (!this.#admits(request)) {
        // Answers that wait here take room too, and no one else would send them.
        if (this.#outbox.bytes === 0) return;
        this.flush();
        if (!this.#admits(request)) return;
      }
      inbox.start += this.headerSize;
      this.#begin(request);
      if (this.#outbox.bytes + this.#outbox.placed >= BATCH) this.flush();
    }
  }

  #count({ type, length }: RequestHeader): void {
    const { counters } = this.#host;
    counters.requests += 1;
    if (type === Command.read) counters.bytesRead += length;
    else if (type === Command.write) counters.bytesWritten += length;
    const hasData = type === Command.read || type === Command.write;
    this.#traffic += REQUEST + (hasData ? length : 0);
    if (this.#traffic < BUSY) return;
    this.#traffic = 0;
    this.#host.onBusy?.();
  }

  /** Whether there is room for one more request, in number and in bytes. */
  #admits({ type, length }: RequestHeader): boolean {
    const { queued } = this.transport;
    // Answers that wait count as well, but there is no hurry while more can be read ahead.
    if (queued > 0 && !this.inbox.full) return false;
    const inFlight = this.#requests + (queued > 0 ? this.#outbox.unsent : 0);
    if (inFlight >= this.#host.threads) return false;
    if (type !== Command.read && type !== Command.write) return true;
    const held = this.payloads.held + queued + this.#outbox.bytes;
    const share = this.#host.share();
    if (length > share) return this.#requests === 0 && held === 0;
    return held === 0 || held + length <= share;
  }

  #expect(data: Data, complete: () => void): void {
    this.inbox.expect(data, this.headerSize, complete);
  }

  #begin(request: RequestHeader): void {
    if (request.type === Command.disconnect) {
      this.#closing = true;
      return;
    }
    this.#count(request);
    this.#host.onRequest?.(request);
    if (this.#shared && (request.flags & CommandFlag.shared) !== 0) {
      this.#beginShared(request, this.#shared);
      return;
    }
    const hasPayload = this.#terms.extended
      ? (request.flags & CommandFlag.payloadLength) !== 0
      : request.type === Command.write;
    if (request.type === Command.write && !hasPayload) {
      this.#refuse(request, new BlockError('EINVAL', 'a write needs the payload flag'));
    } else if (hasPayload) {
      this.#beginPayload(request);
    } else {
      const refusal = this.#export.refusal(request, this.#terms);
      if (refusal) this.#refuse(request, refusal);
      else this.#perform(request);
    }
  }

  #beginPayload(request: RequestHeader): void {
    if (request.length > MAX_PAYLOAD) {
      throw new BlockError('EPROTO', `a payload of ${request.length} bytes is too long`);
    }
    if (request.type === Command.blockStatus) {
      this.#beginStatus(request);
      return;
    }
    const refusal =
      request.type === Command.write
        ? this.#export.refusal(request, this.#terms)
        : new BlockError('EINVAL', 'the command takes no payload');
    if (refusal) this.#discard(request.length, () => this.#refuse(request, refusal));
    else if (request.length === 0) this.#outbox.success(request);
    else this.#receiveWrite(request);
  }

  #beginShared(request: RequestHeader, shared: SharedPayloads): void {
    let slot: Buffer;
    try {
      const refusal = this.#export.refusal(request, this.#terms);
      if (refusal) throw refusal;
      slot = shared.slot(request);
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    if (request.length === 0) this.#outbox.nothing(request);
    else if (request.type === Command.read) this.#read(request, slot);
    else this.#writeShared(request, slot, shared, 0);
  }

  /** Writes what is in a slot, from `done` on. */
  #writeShared(request: RequestHeader, slot: Buffer, shared: SharedPayloads, done: number): void {
    const end = Math.min(done + this.share(), slot.length);
    const offset = request.offset + BigInt(done);
    let piece: Piece;
    try {
      piece = shared.piece(this.device, request, offset, slot.subarray(done, end));
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    const receive = () => this.#writeShared(request, slot, shared, end);
    this.arrived(piece, end < slot.length ? { left: 0, receive } : undefined);
  }

  #discard(length: number, then: () => void): void {
    if (length === 0) {
      then();
      return;
    }
    const count = Math.min(length, SCRATCH.length);
    this.#expect(SCRATCH.subarray(0, count), () => this.#discard(length - count, then));
  }

  #beginStatus(request: RequestHeader): void {
    if (request.length > MAX_STATUS_PAYLOAD) {
      const error = new BlockError('EINVAL', 'too many context ids');
      this.#discard(request.length, () => this.#refuse(request, error));
      return;
    }
    const payload = Buffer.alloc(request.length);
    const complete = () => {
      const wanted = decodeStatusPayload(payload);
      const refusal = wanted
        ? this.#export.refusal({ ...request, length: wanted.length }, this.#terms)
        : new BlockError('EINVAL', 'the payload is not a length and context ids');
      if (refusal) this.#refuse(request, refusal);
      else this.#status({ ...request, length: wanted!.length }, wanted!.contextIds);
    };
    if (payload.length === 0) complete();
    else this.#expect(payload, complete);
  }

  #receiveWrite(request: RequestHeader): void {
    this.#inARow += 1;
    this.#incoming = new IncomingWrite(this, request);
    this.#incoming.receive();
  }

  arrived(piece: Piece, rest?: Rest): void {
    const { signal } = this.#host.gone;
    const work = () => write(this.device, piece, rest === undefined, signal);
    if (!rest) {
      this.#incoming = undefined;
      this.#answer(piece.request, work, piece.payload);
      return;
    }
    this.#exclusively(async () => {
      try {
        await work();
      } catch (error) {
        this.failed(piece.request, rest.left, error);
        return;
      } finally {
        if (piece.payload) this.payloads.give(piece.payload);
      }
      if (!signal.aborted) rest.receive();
    });
  }

  failed(request: RequestHeader, left: number, error: unknown): void {
    this.#incoming = undefined;
    this.#discard(left, () => this.#refuse(request, error));
  }

  #exclusively(work: () => Promise<void>): void {
    this.#exclusive += 1;
    work()
      .catch(error => {
        this.#host.onError(error);
        this.#abandon();
      })
      .finally(() => {
        this.#exclusive -= 1;
        this.#pump();
      });
  }

  #perform(request: RequestHeader): void {
    const { type, length } = request;
    if (length === 0 && type !== Command.flush) this.#outbox.nothing(request);
    else if (type === Command.read) this.#read(request);
    else if (type === Command.blockStatus) this.#status(request);
    else this.#answer(request, () => perform(this.device, request, this.#host.gone.signal));
  }

  /** @param slot shared memory for the answer. */
  #read(request: RequestHeader, slot?: Buffer): void {
    const { offset, length } = request;
    if (length > this.#host.share()) {
      this.#exclusively(() => this.#readPieces(request, slot));
      return;
    }
    const { device } = this;
    let data: Data | PromiseLike<Data>;
    try {
      const options = slot ? this.#shared!.reading(device, slot, this.#reading) : this.#reading;
      data = device.read(offset, length, options);
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    if (!isPromise(data)) {
      this.#sendRead(request, data, slot);
      return;
    }
    this.#takeOn(length);
    data.then(
      bytes => this.#settled(length, () => this.#sendRead(request, bytes, slot)),
      error => this.#settled(length, () => this.#refuse(request, error)),
    );
  }

  #sendRead(request: RequestHeader, data: Data, slot: Buffer | undefined): void {
    const fault = badAnswer(data, request.length);
    if (fault) this.#refuse(request, fault);
    else if (slot) this.#outbox.readPart(request, request.offset, data, false, true, slot);
    else this.#outbox.read(request, data, (request.flags & CommandFlag.df) !== 0);
  }

  /** A read that is longer than the connection may hold is read as the client takes it. */
  async #readPieces(request: RequestHeader, slot?: Buffer): Promise<void> {
    const { device } = this.#export;
    const df = (request.flags & CommandFlag.df) !== 0;
    const inChunks = this.#terms.structured && !df;
    const share = this.#host.share();
    for (let done = 0; done < request.length; ) {
      const count = Math.min(share, request.length - done);
      const offset = request.offset + BigInt(done);
      let data: Data;
      try {
        data = await device.read(offset, count, this.#reading);
        const fault = badAnswer(data, count);
        if (fault) throw fault;
      } catch (error) {
        // Once a length has been promised, only hanging up can take it back.
        if (done > 0 && !inChunks) throw error;
        this.#refuse(request, error);
        return;
      }
      if (!inChunks && done === 0) this.#outbox.readHeader(request, request.length);
      const part = slot?.subarray(done, done + count);
      done += count;
      const last = done === request.length;
      if (inChunks) this.#outbox.readPart(request, offset, data, false, last, part);
      else this.#outbox.raw(data);
      this.#outbox.flush();
      await this.#drained();
    }
  }

  async #drained(): Promise<void> {
    if (this.transport.queued === 0 || this.#closed) return;
    await new Promise<void>(resolve => {
      this.transport.onDrain = resolve;
    });
    this.transport.onDrain = () => this.#drainedNow();
  }

  #status(request: RequestHeader, contextIds?: readonly number[]): void {
    this.#takeOn(0);
    statusReply(this.#export, this.#terms, request, contextIds).then(
      replies =>
        this.#settled(0, () => {
          for (const [index, { contextId, runs }] of replies.entries()) {
            this.#outbox.status(request, contextId, runs, index === replies.length - 1);
          }
        }),
      error => this.#settled(0, () => this.#refuse(request, error)),
    );
  }

  /** Runs a command that has no data in its answer. `payload`: given back when it is done. */
  #answer(request: RequestHeader, work: () => void | PromiseLike<void>, payload?: Buffer): void {
    const release = () => {
      if (payload) this.payloads.give(payload);
    };
    let result: void | PromiseLike<void>;
    try {
      result = work();
    } catch (error) {
      release();
      this.#refuse(request, error);
      return;
    }
    if (!isPromise(result)) {
      release();
      this.#outbox.success(request);
      return;
    }
    this.#takeOn(0);
    const settle = (reply: () => void) => {
      release();
      this.#settled(0, reply);
    };
    result.then(
      () => settle(() => this.#outbox.success(request)),
      error => settle(() => this.#refuse(request, error)),
    );
  }

  #takeOn(bytes: number): void {
    this.#requests += 1;
    this.payloads.held += bytes;
  }

  /** A request is over, whose payload took so many bytes. Those that are over together go out together. */
  #settled(bytes: number, reply: () => void): void {
    if (this.#settling.length === 0) queueMicrotask(() => this.#settle());
    this.#settling.push(() => {
      this.payloads.held -= bytes;
      if (!this.#closed) reply();
    });
  }

  #settle(): void {
    const settling = this.#settling;
    this.#settling = [];
    this.#requests -= settling.length;
    this.#pump(() => {
      for (const reply of settling) reply();
    });
  }

  #refuse(request: RequestHeader, error: unknown): void {
    this.#host.counters.failed += 1;
    this.#host.onError(error);
    this.#outbox.failure(request, error);
  }
}
