import { IoVector } from './io-vector.ts';
import { type CFunction, koffi, libcFunction } from './libc.ts';

/** Most pieces of one answer, which the kernel takes in one call only. */
const MOST_PIECES = 1024;

const readOf = libcFunction('int64_t read(int fd, void *bytes, uint64_t length)');
const writevOf = libcFunction('int64_t writev(int fd, uintptr_t vector, int count)');

/** Non-blocking system calls on /dev/fuse. */
export class FuseIo {
  readonly #read: CFunction;
  readonly #writev: CFunction;
  readonly #vector = new IoVector(MOST_PIECES);

  private constructor(read: CFunction, writev: CFunction) {
    this.#read = read;
    this.#writev = writev;
  }

  /** undefined where the system or its FFI has none. */
  static load(): FuseIo | undefined {
    const read = readOf();
    const writev = writevOf();
    return read && writev && new FuseIo(read, writev);
  }

  /** Bytes of the next request; negative when there is none now, or an error. */
  read(fd: number, into: Uint8Array): number {
    return this.#read(fd, into, into.length);
  }

  /** Writes an answer. @returns 0, or the number of the error. */
  write(fd: number, views: readonly Uint8Array[]): number {
    let pieces = views;
    if (views.length > MOST_PIECES) pieces = [views[0]!, Buffer.concat(views.slice(1))];
    for (let index = 0; index < pieces.length; index++) this.#vector.point(index, pieces[index]!);
    return this.#writev(fd, this.#vector.address, pieces.length) < 0 ? koffi()!.errno() : 0;
  }
}
