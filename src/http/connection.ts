import type net from 'node:net';
import { Dechunker, Dropped, ENOUGH, type Sink } from './body.ts';
import { BadAnswer } from './errors.ts';
import { endOfHead, type HttpHead, type ParsedHead, parseHead } from './head.ts';

export type Headers = Readonly<Record<string, string>>;

/** A request as it is sent. */
export interface Message {
  readonly method: string;
  /** What stands in the first line. */
  readonly target: string;
  readonly headers: Headers;
  readonly body?: Uint8Array | undefined;
}

/** Whoever has sent a request. */
export interface Asker {
  /** Where the body of this answer goes; undefined: nobody wants it. What it throws ends the request. */
  take(head: HttpHead): Sink | undefined;
  /** Called once; nothing is put into a sink after it. */
  done(error: unknown, head?: HttpHead): void;
}

/** The connection was closed before anything of an answer came, perhaps before the request did. */
export const STALE = new Error('the server hung up');

const LONGEST_HEAD = 1 << 16;
const USUAL_HEAD = 1 << 14;
/** A server that says nothing for so long has stopped, in ms. */
const SILENCE = 60_000;

/**
 * A connection to a web server, for one request after the other (HTTP/1.1). Bodies are received
 * straight to where they belong.
 */
export class HttpConnection {
  /** Reads into the place that comes next; for the socket when it is made. */
  readonly onread: net.OnReadOpts;
  /** Called when it can take no request any more. */
  onClosed: (() => void) | undefined;
  #socket: net.Socket | undefined;
  /** What has come of a head, or of chunks. */
  #buffer = Buffer.allocUnsafeSlow(USUAL_HEAD);
  #have = 0;
  #asker: Asker | undefined;
  #method = '';
  #head: ParsedHead | undefined;
  #sink: Sink | undefined;
  #dechunker: Dechunker | undefined;
  /** Bytes of the body that are to come. */
  #left = 0;
  #closed = false;
  /** Requests that were answered. */
  answered = 0;

  constructor() {
    this.onread = {
      buffer: () => this.#space(),
      callback: count => {
        this.#received(count);
        return true;
      },
    };
  }

  /** Takes a socket, whose `onread` is this one's unless it could not be. */
  attach(socket: net.Socket, reads = true): this {
    this.#socket = socket;
    if (!reads) socket.on('data', bytes => this.#deliver(bytes));
    socket.setTimeout(SILENCE, () => this.close(new Error('no answer in time')));
    socket.on('error', error => this.close(error));
    socket.on('end', () => this.#ended());
    socket.on('close', () => this.#ended());
    return this;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /** Sends a request; the one before must be done. */
  ask({ method, target, headers, body }: Message, asker: Asker): void {
    this.#asker = asker;
    this.#method = method;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const length = body === undefined ? '' : `content-length: ${body.length}\r\n`;
    const head = `${method} ${target} HTTP/1.1\r\n${lines.join('')}${length}\r\n`;
    const socket = this.#socket!;
    if (body) socket.cork();
    socket.write(head);
    if (!body) return;
    socket.write(body);
    socket.uncork();
  }

  /** Drops it, and what is under way fails. */
  close(error: unknown = STALE): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.destroy();
    this.onClosed?.();
    this.#finish(error);
  }

  #space(): Uint8Array {
    if (this.#sink && !this.#dechunker) {
      const space = this.#sink.space();
      if (space.length > this.#left) return space.subarray(0, this.#left);
      // A sink without space is dealt with when more has come.
      if (space.length > 0) return space;
    }
    if (this.#have === this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#buffer.length);
      this.#buffer.copy(larger);
      this.#buffer = larger;
    }
    return this.#buffer.subarray(this.#have);
  }

  #received(count: number): void {
    this.#try(() => {
      if (this.#sink && !this.#dechunker && this.#sink.space().length > 0) this.#body(count);
      else {
        this.#have += count;
        this.#parse();
      }
    });
  }

  /** For sockets that read to a place of their own. */
  #deliver(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0 && !this.#closed; ) {
      const space = this.#space();
      const count = Math.min(space.length, rest.length);
      space.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      this.#received(count);
    }
  }

  #body(count: number): void {
    this.#sink!.received(count);
    this.#left -= count;
    if (this.#left === 0) this.#complete();
  }

  /** Takes what is in the buffer. */
  #parse(): void {
    while (this.#have > 0 && !this.#closed) {
      if (!this.#asker) throw new BadAnswer('the server answers what nobody has asked');
      if (!this.#head) {
        if (!this.#takeHead()) return;
      } else if (this.#dechunker) {
        const ended = this.#dechunker.take(this.#buffer.subarray(0, this.#have));
        this.#have = 0;
        if (ended) this.#complete();
      } else this.#spill();
    }
  }

  /** What came of a body together with its head. */
  #spill(): void {
    const space = this.#sink!.space();
    if (space.length === 0) throw new BadAnswer('the server sent more than it said');
    const count = Math.min(space.length, this.#have, this.#left);
    space.set(this.#buffer.subarray(0, count));
    this.#consume(count);
    this.#body(count);
  }

  #consume(count: number): void {
    this.#buffer.copyWithin(0, count, this.#have);
    this.#have -= count;
  }

  /** Whether there is a head. */
  #takeHead(): boolean {
    const end = endOfHead(this.#buffer.subarray(0, this.#have));
    if (end < 0 && this.#have < LONGEST_HEAD) return false;
    if (end < 0) throw new BadAnswer('the head of the answer is too long');
    const head = parseHead(this.#buffer.toString('latin1', 0, end), this.#method);
    this.#consume(end);
    // 100 and the like come before the answer.
    if (head.status < 200 && head.status !== 101) return true;
    this.#head = head;
    this.#sink = this.#asker!.take(head) ?? new Dropped();
    this.#left = typeof head.framing === 'number' ? head.framing : Number.POSITIVE_INFINITY;
    if (head.framing === 'chunked') this.#dechunker = new Dechunker(this.#sink);
    if (this.#left === 0) this.#complete();
    return true;
  }

  #ended(): void {
    if (this.#head?.framing === 'close') this.#complete();
    const begun = this.#head !== undefined || this.#have > 0;
    this.close(begun ? new Error('the server hung up') : STALE);
  }

  /** @param whole whether all of the body was taken. */
  #complete(whole = true): void {
    const head = this.#head!;
    const reusable = whole && head.keepsAlive && this.#socket!.writableLength === 0;
    this.answered += 1;
    if (!reusable) {
      this.#closed = true;
      this.#socket!.destroy();
      this.onClosed?.();
    }
    this.#finish(undefined, head);
  }

  #finish(error: unknown, head?: HttpHead): void {
    const asker = this.#asker;
    this.#asker = undefined;
    this.#head = undefined;
    this.#sink = undefined;
    this.#dechunker = undefined;
    asker?.done(error, head);
  }

  #try(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error === ENOUGH) this.#complete(false);
      else this.close(error);
    }
  }
}
