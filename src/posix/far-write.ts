import { callAsync, libcFunction, SystemError } from './libc.ts';

const EFBIG = 27;
const pwrite = libcFunction('int64_t pwrite(int fd, void *bytes, size_t length, int64_t offset)');

/**
 * Writes at an offset of 2^53 or more, where `fs.write` would take the file's own position instead.
 * @returns the bytes written.
 * @throws SystemError
 */
export async function farWrite(fd: number, bytes: Uint8Array, offset: bigint): Promise<number> {
  const call = pwrite();
  if (!call) throw new SystemError('pwrite', EFBIG);
  return await callAsync('pwrite', call, fd, bytes, bytes.length, offset);
}
