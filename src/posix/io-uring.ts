import { closeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { BlockError } from '../block/errors.ts';
import { addressOf, lastError, libcFunction } from './libc.ts';
import { type MappedFile, mapFile } from './mapping.ts';
import { streamHandle } from './stream-handle.ts';

const SETUP = 425;
const ENTER = 426;
const REGISTER = 427;
const REGISTER_EVENTFD = 4;
/** Entries of 128 bytes. */
const SETUP_SQE128 = 1 << 10;
const OFF_SQES = 0x10000000;
const EFD_NONBLOCK_CLOEXEC = 0o2004000;
const CQE_SIZE = 16;

/** As the C library's, which takes any number of arguments. */
const syscall = libcFunction(
  'int64_t syscall(int64_t number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f)',
);
const eventfd = libcFunction('int eventfd(unsigned int value, int flags)');

/** What becomes of a request: its own number, and a result that is negative for an error. */
export type Completion = (id: number, result: number) => void;

/** Requests to the kernel and its answers in memory that both share (io_uring). */
export class IoUring {
  readonly #fd: number;
  readonly #rings: MappedFile;
  readonly #entries: MappedFile;
  readonly #words: Int32Array;
  readonly #size: number;
  readonly #at: { readonly [K in 'head' | 'tail' | 'done' | 'taken']: number };
  readonly #mask: number;
  readonly #doneMask: number;
  readonly #cqes: number;
  readonly #socket: Socket;
  #queued = 0;

  /**
   * @param count requests that may be prepared at once, a power of two.
   * @param size of a request: 64 bytes or 128.
   * @param onCompletion is told of each in the event loop.
   * @throws BlockError ENOTSUP where the system has none; SystemError
   */
  constructor(count: number, size: 64 | 128, onCompletion: Completion) {
    const call = syscall();
    if (!call) throw new BlockError('ENOTSUP', 'this system has no io_uring');
    const params = Buffer.alloc(120);
    params.writeUInt32LE(size === 128 ? SETUP_SQE128 : 0, 8);
    this.#fd = call(SETUP, count, addressOf(params), 0, 0, 0, 0);
    if (this.#fd < 0) throw lastError('io_uring_setup');
    const field = (at: number) => params.readUInt32LE(at);
    const [sqEntries, cqEntries] = [field(0), field(4)];
    const array = field(40 + 24);
    this.#cqes = field(80 + 20);
    const length = Math.max(array + 4 * sqEntries, this.#cqes + CQE_SIZE * cqEntries);
    this.#rings = mapFile(this.#fd, 0, length, 'write');
    this.#entries = mapFile(this.#fd, OFF_SQES, size * sqEntries, 'write');
    const { buffer, byteOffset } = this.#rings.bytes;
    this.#words = new Int32Array(buffer, byteOffset, length >> 2);
    this.#size = size;
    const word = (at: number) => field(at) >> 2;
    this.#at = { head: word(40), tail: word(44), taken: word(80), done: word(84) };
    this.#mask = this.#words[word(48)]!;
    this.#doneMask = this.#words[word(88)]!;
    for (let index = 0; index < sqEntries; index++) this.#words[(array >> 2) + index] = index;
    this.#socket = this.#listen(onCompletion);
  }

  /** The event loop reads a number from a descriptor that the kernel counts up. */
  #listen(onCompletion: Completion): Socket {
    const event = eventfd()!(0, EFD_NONBLOCK_CLOEXEC);
    if (event < 0) throw lastError('eventfd');
    const fds = new Uint8Array(Int32Array.of(event).buffer);
    const call = syscall()!;
    if (call(REGISTER, this.#fd, REGISTER_EVENTFD, addressOf(fds), 1, 0, 0) < 0) {
      throw lastError('io_uring_register');
    }
    const callback = () => {
      this.#reap(onCompletion);
      return true;
    };
    return new Socket({
      handle: streamHandle(event, 'SOCKET'),
      writable: false,
      onread: { buffer: Buffer.alloc(8), callback },
    } as SocketConstructorOpts);
  }

  /** A request to fill in, all zeroes but for its number; `submit` sends it. */
  prepare(id: number): Buffer {
    if (this.#queued > this.#mask) this.submit();
    const index = (this.#words[this.#at.tail]! + this.#queued) & this.#mask;
    this.#queued += 1;
    const entry = this.#entries.bytes.subarray(index * this.#size, (index + 1) * this.#size);
    entry.fill(0);
    entry.writeUInt32LE(id, 32);
    return entry;
  }

  /** Gives the kernel what was prepared. @throws SystemError */
  submit(): void {
    if (this.#queued === 0) return;
    const { tail } = this.#at;
    Atomics.store(this.#words, tail, (this.#words[tail]! + this.#queued) | 0);
    const count = this.#queued;
    this.#queued = 0;
    if (syscall()!(ENTER, this.#fd, count, 0, 0, 0, 0) < 0) throw lastError('io_uring_enter');
  }

  #reap(onCompletion: Completion): void {
    const { taken, done } = this.#at;
    const { bytes } = this.#rings;
    let at = this.#words[taken]!;
    while (at !== Atomics.load(this.#words, done)) {
      const entry = this.#cqes + (at & this.#doneMask) * CQE_SIZE;
      const [id, result] = [bytes.readUInt32LE(entry), bytes.readInt32LE(entry + 8)];
      at = (at + 1) | 0;
      Atomics.store(this.#words, taken, at);
      onCompletion(id, result);
    }
    this.submit();
  }

  /** Nothing more is taken or told. */
  close(): void {
    this.#socket.destroy();
    this.#rings.unmap();
    this.#entries.unmap();
    closeSync(this.#fd);
  }
}
