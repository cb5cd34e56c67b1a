import { IoVector } from './io-vector.ts';
import { type CFunction, libcFunction } from './libc.ts';

const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const FIONREAD = 0x541b;
/** Most pieces in one call; the system's limit is 1024. */
const MAX_PIECES = 512;

const recvOf = libcFunction('int64_t recv(int fd, void *bytes, uint64_t length, int flags)');
const sendOf = libcFunction('int64_t send(int fd, void *bytes, uint64_t length, int flags)');
const ioctlOf = libcFunction('int ioctl(int fd, ulong request, void *argument)');
const setsockoptOf = libcFunction(
  'int setsockopt(int fd, int level, int option, void *value, uint32_t length)',
);
const readvOf = libcFunction('int64_t readv(int fd, uintptr_t vector, int count)');
const writevOf = libcFunction('int64_t writev(int fd, uintptr_t vector, int count)');

type Calls = [CFunction, CFunction, CFunction, CFunction, CFunction];

/** Non-blocking system calls on a socket, some microseconds each. */
export class SocketIo {
  readonly #recv: CFunction;
  readonly #send: CFunction;
  readonly #readv: CFunction;
  readonly #writev: CFunction;
  readonly #ioctl: CFunction;
  readonly #count = new Int32Array(1);
  readonly #countBytes = new Uint8Array(this.#count.buffer);
  readonly #vector = new IoVector(MAX_PIECES);

  private constructor(calls: readonly CFunction[]) {
    [this.#recv, this.#send, this.#readv, this.#writev, this.#ioctl] = calls as Calls;
  }

  /** undefined where the system or its FFI has none; loads the FFI when first called. */
  static load(): SocketIo | undefined {
    const calls = [recvOf, sendOf, readvOf, writevOf, ioctlOf].flatMap(bind => bind() ?? []);
    return calls.length === 5 ? new SocketIo(calls) : undefined;
  }

  /** Asks for room for so many bytes on their way out; the system gives what its limit allows. */
  makeRoom(fd: number, bytes: number): void {
    const value = new Uint8Array(Int32Array.of(bytes).buffer);
    setsockoptOf()?.(fd, SOL_SOCKET, SO_SNDBUF, value, value.length);
  }

  /**
   * Bytes received, into one place and what comes after it into the next; 0 at the end; negative when
   * there is nothing now, or an error.
   */
  receive(fd: number, into: Uint8Array, next?: Uint8Array): number {
    if (!next) return this.#recv(fd, into, into.length, MSG_DONTWAIT);
    this.#vector.point(0, into);
    this.#vector.point(1, next);
    return this.#readv(fd, this.#vector.address, 2);
  }

  /** Bytes that can be received without waiting. */
  available(fd: number): number {
    return this.#ioctl(fd, FIONREAD, this.#countBytes) === 0 ? this.#count[0]! : 0;
  }

  /**
   * Sends as many of the bytes as the system takes at once.
   * @returns their number; 0 also for an error, which the next ordinary write will meet.
   */
  send(fd: number, views: readonly Uint8Array[]): number {
    if (views.length === 1) {
      const [view] = views;
      return Math.max(0, this.#send(fd, view!, view!.length, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    const count = Math.min(views.length, MAX_PIECES);
    for (let index = 0; index < count; index++) this.#vector.point(index, views[index]!);
    return Math.max(0, this.#writev(fd, this.#vector.address, count));
  }
}
