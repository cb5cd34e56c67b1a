import { closeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { constants } from 'node:os';
import { viewsOf } from '../block/data.ts';
import { BlockError } from '../block/errors.ts';
import { duplicate } from '../posix/duplicate.ts';
import { FuseIo } from '../posix/fuse-io.ts';
import { streamHandle } from '../posix/stream-handle.ts';
import { giveBuffer, takeBuffer } from '../transport/buffers.ts';
import { Watch } from '../transport/watch.ts';
import { encodeReplyHeader } from './replies.ts';
import type { FuseSession, Reply } from './session.ts';
import { decodeHeader, decodeInterrupt, Opcode, REQUEST_SIZE, type RequestHeader } from './wire.ts';

const { EINTR, EIO, ENOENT, ENODEV } = constants.errno;
/** After so many requests in a row the event loop gets its turn. */
const MOST_IN_A_ROW = 64;
/** For so long an interrupted program waits for its answer, in ms: most come in time. */
const PATIENCE = 1000;
/** For so long requests under way are waited for at the end, in ms. */
const LAST_PATIENCE = 10_000;
/** Nobody has ended the file system: the request was taken back before it was read. */
const AGAIN: ReadonlySet<string> = new Set(['ENOENT', 'EINTR', 'EAGAIN']);
const UNMOUNTED = 'ENODEV';
const CLOSED = -1;

/** Lends memory for the answers to reads. */
export interface Lender {
  take(length: number): Buffer;
  give(buffer: Buffer): void;
}

export const ORDINARY: Lender = { take: takeBuffer, give: giveBuffer };

/** A request that is not answered at once. */
interface Pending {
  readonly header: RequestHeader;
  /** The program has been told that it was interrupted. */
  over: boolean;
}

/**
 * Takes requests from /dev/fuse and answers them. The event loop says when there is one; the next
 * ones are read by system calls, and while all are answered at once the next is watched for.
 */
export class FuseLoop {
  #fd: number;
  readonly #session: FuseSession;
  readonly #lender: Lender;
  readonly #most: number;
  readonly #io: FuseIo;
  readonly #pending = new Map<bigint, Pending>();
  readonly #watch = new Watch();
  /** Requests are read into these, and writes stay there. */
  readonly #spare: Buffer[] = [];
  /** The event loop reads into it. */
  #armed = this.#buffer();
  #own = this.#buffer();
  #socket: Socket | undefined;
  #ended: ((error?: Error) => void) | undefined;
  #idle: (() => void) | undefined;

  /** @param fd /dev/fuse, which is closed at the end. @param most requests under way at once. */
  constructor(fd: number, session: FuseSession, most: number, lender = ORDINARY) {
    this.#fd = fd;
    this.#session = session;
    this.#lender = lender;
    this.#most = most;
    const io = FuseIo.load();
    if (!io) throw new BlockError('ENOTSUP', 'this system has no FUSE');
    this.#io = io;
  }

  /** Serves until it is unmounted or stopped. @throws BlockError /dev/fuse fails. */
  serve(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ended = error => (error ? reject(error) : resolve());
      this.#listen();
    });
  }

  /**
   * Takes no more requests, and waits for those under way.
   * @throws BlockError ETIMEDOUT there is no answer to some.
   */
  async stop(): Promise<void> {
    this.#socket?.destroy();
    this.#socket = undefined;
    if (this.#pending.size > 0) {
      await new Promise<void>(resolve => {
        this.#idle = resolve;
        setTimeout(resolve, LAST_PATIENCE).unref();
      });
    }
    closeSync(this.#fd);
    this.#fd = CLOSED;
    this.#ended?.();
    if (this.#pending.size === 0) return;
    throw new BlockError('ETIMEDOUT', `${this.#pending.size} requests were not answered`);
  }

  #buffer(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(REQUEST_SIZE);
  }

  #listen(): void {
    const own = duplicate(this.#fd);
    if (own === undefined) throw new BlockError('ENOMEM', 'no descriptor is left');
    const socket = new Socket({
      handle: streamHandle(own, 'SOCKET'),
      writable: false,
      onread: {
        buffer: () => this.#armed,
        callback: (length: number) => this.#arrived(length),
      },
    } as SocketConstructorOpts);
    this.#socket = socket;
    socket.on('end', () => this.#ended?.());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (socket !== this.#socket) return;
      if (AGAIN.has(error.code!)) this.#listen();
      else if (error.code === UNMOUNTED) this.#ended?.();
      else this.#ended?.(new BlockError('EIO', `/dev/fuse: ${error.message}`));
    });
  }

  #arrived(length: number): boolean {
    this.#watch.came();
    this.#armed = this.#take(this.#armed, length);
    this.#takeMore();
    return !this.#full;
  }

  get #full(): boolean {
    return this.#pending.size >= this.#most;
  }

  /** Takes what else there is. An error is left to the event loop, which meets it again. */
  #takeMore(): void {
    for (let round = 0; round < MOST_IN_A_ROW && !this.#full; round++) {
      const look = () => this.#io.read(this.#fd, this.#own);
      let length = look();
      if (length < 0 && this.#pending.size === 0) length = this.#watch.watch(look);
      if (length < 0) return;
      this.#own = this.#take(this.#own, length);
    }
  }

  /** Does what is asked for. @returns where the next request may be read to. */
  #take(buffer: Buffer, length: number): Buffer {
    const request = buffer.subarray(0, length);
    const header = decodeHeader(request);
    if (!header) throw new BlockError('EIO', '/dev/fuse: what the kernel asks for is no request');
    const { opcode } = header;
    if (opcode === Opcode.forget || opcode === Opcode.batchForget) return buffer;
    if (opcode === Opcode.interrupt) {
      this.#interrupt(decodeInterrupt(request));
      return buffer;
    }
    let lent: Buffer | undefined;
    const lend = (wanted: number) => {
      lent = this.#lender.take(wanted);
      return lent;
    };
    const free = () => lent && this.#lender.give(lent);
    const reply = this.#session.handle(header, request, lend);
    if (typeof reply === 'number' || !('then' in reply)) {
      this.#answer(header, reply);
      free();
      return buffer;
    }
    // The bytes of a write stay where they are.
    const keeps = opcode === Opcode.write;
    this.#wait(header, reply, () => {
      free();
      if (keeps) this.#spare.push(buffer);
    });
    return keeps ? this.#buffer() : buffer;
  }

  #wait(header: RequestHeader, reply: PromiseLike<Reply>, done: () => void): void {
    const pending: Pending = { header, over: false };
    this.#pending.set(header.unique, pending);
    void reply.then(answer => {
      const wasFull = this.#full;
      this.#pending.delete(header.unique);
      if (!pending.over) this.#answer(header, answer);
      done();
      if (this.#pending.size === 0) this.#idle?.();
      if (!this.#socket) return;
      if (wasFull) this.#socket.resume();
      this.#takeMore();
    });
  }

  #answer({ unique }: RequestHeader, reply: Reply): void {
    if (this.#fd === CLOSED) return;
    const errno = typeof reply === 'number' ? reply : 0;
    const views = typeof reply === 'number' ? [] : viewsOf(reply);
    let length = 0;
    for (const view of views) length += view.length;
    const failure = this.#io.write(this.#fd, [encodeReplyHeader(unique, errno, length), ...views]);
    // Without an answer the program would wait for ever.
    if (failure === 0 || failure === ENOENT || failure === ENODEV || errno !== 0) return;
    this.#io.write(this.#fd, [encodeReplyHeader(unique, EIO, 0)]);
  }

  /** A program that is to end, or to do something else, does not wait for a server that is silent. */
  #interrupt(unique: bigint): void {
    setTimeout(() => {
      const pending = this.#pending.get(unique);
      if (!pending || pending.over) return;
      pending.over = true;
      this.#answer(pending.header, EINTR);
    }, PATIENCE).unref();
  }
}
