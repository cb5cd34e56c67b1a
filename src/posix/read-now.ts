import { addressOf, libcFunction } from './libc.ts';

const RWF_NOWAIT = 8;

const preadv2 = libcFunction(
  'int64_t preadv2(int fd, uintptr_t vector, int count, int64_t offset, int flags)',
);

let vector: { readonly fields: BigUint64Array; readonly address: number } | undefined;

/**
 * Reads what the page cache holds, in about 2 µs and without a thread.
 * @returns the bytes read, perhaps fewer than asked for and 0 at the end of the file; undefined when
 * the disk would have to be waited for, or the system cannot do this.
 */
export function readNow(fd: number, bytes: Uint8Array, offset: bigint): number | undefined {
  const call = preadv2();
  if (!call) return undefined;
  vector ??= makeVector();
  vector.fields[0] = addressOf(bytes);
  vector.fields[1] = BigInt(bytes.length);
  const count = call(fd, vector.address, 1, offset, RWF_NOWAIT);
  return count < 0 ? undefined : count;
}

function makeVector() {
  const memory = Buffer.allocUnsafeSlow(16);
  return {
    fields: new BigUint64Array(memory.buffer, memory.byteOffset, 2),
    address: Number(addressOf(memory)),
  };
}
