import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import { addressOf, type CFunction, koffi, libcFunction } from './libc.ts';

const RWF_NOWAIT = 8;
const { EOPNOTSUPP, ENOSYS } = constants.errno;
/** File systems that are nothing but page cache, and know no RWF_NOWAIT: tmpfs and ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

const preadv2 = libcFunction(
  'int64_t preadv2(int fd, uintptr_t vector, int count, int64_t offset, int flags)',
);
const pwritev2 = libcFunction(
  'int64_t pwritev2(int fd, uintptr_t vector, int count, int64_t offset, int flags)',
);

let vector: { readonly fields: BigUint64Array; readonly address: number } | undefined;

/** Reads and writes of a file that the page cache can serve: done in some microseconds or not at all. */
export class CachedIo {
  readonly #fd: number;
  /** undefined: the file system cannot tell whether it would wait. */
  #reading: number | undefined;
  #writing: number | undefined;

  constructor(fd: number) {
    this.#fd = fd;
    this.#reading = this.#writing = isInMemory(fd) ? 0 : RWF_NOWAIT;
  }

  /**
   * @returns the bytes read, perhaps fewer than asked for and 0 at the end of the file; undefined
   * when the disk would have to be waited for, or the system cannot do this.
   */
  read(bytes: Uint8Array, offset: bigint): number | undefined {
    const flags = this.#reading;
    const call = flags === undefined ? undefined : preadv2();
    if (!call) return undefined;
    const count = transfer(call, this.#fd, bytes, offset, flags!);
    if (count === 'unsupported') this.#reading = undefined;
    return typeof count === 'number' ? count : undefined;
  }

  /** @returns the bytes written, perhaps fewer than given; undefined as for `read`, and on errors. */
  write(bytes: Uint8Array, offset: bigint): number | undefined {
    const flags = this.#writing;
    const call = flags === undefined ? undefined : pwritev2();
    if (!call) return undefined;
    const count = transfer(call, this.#fd, bytes, offset, flags!);
    if (count === 'unsupported') this.#writing = undefined;
    return typeof count === 'number' ? count : undefined;
  }
}

function transfer(
  call: CFunction,
  fd: number,
  bytes: Uint8Array,
  offset: bigint,
  flags: number,
): number | 'unsupported' | undefined {
  vector ??= makeVector();
  vector.fields[0] = addressOf(bytes);
  vector.fields[1] = BigInt(bytes.length);
  const count = call(fd, vector.address, 1, offset, flags);
  if (count >= 0) return count;
  const reason = koffi()!.errno();
  return reason === EOPNOTSUPP || reason === ENOSYS ? 'unsupported' : undefined;
}

function isInMemory(fd: number): boolean {
  try {
    return IN_MEMORY.has(statfsSync(`/proc/self/fd/${fd}`).type);
  } catch {
    return false;
  }
}

function makeVector() {
  const memory = Buffer.allocUnsafeSlow(16);
  return {
    fields: new BigUint64Array(memory.buffer, memory.byteOffset, 2),
    address: Number(addressOf(memory)),
  };
}
