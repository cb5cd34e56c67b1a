/** What the kernel asks for on /dev/fuse (include/uapi/linux/fuse.h): pure functions. */

export const Opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
  rename2: 45,
  lseek: 46,
  tmpfile: 51,
} as const;

/** The number of the root. */
export const ROOT = 1;

/** What fallocate is to do. */
export const FallocateMode = { keepSize: 1, punchHole: 2, zeroRange: 16 } as const;

/** From where lseek is to go on; the others never reach the file system. */
export const Seek = { data: 3, hole: 4 } as const;

/** Which attributes are to be set: mode, user and group are the lowest three. */
export const SetAttr = { owner: 0b111, size: 1 << 3 } as const;

/** How a file is open. */
export const OpenFlag = { directIo: 1, keepCache: 1 << 1, parallelDirectWrites: 1 << 6 } as const;

export const HEADER_SIZE = 40;
/** The fields of a read or a write. */
const IO_SIZE = 40;
/** Bytes of one read or write at most. */
export const MAX_IO = 1 << 20;
/** A request has this size at most, and the kernel wants as much room for every one. */
export const REQUEST_SIZE = HEADER_SIZE + IO_SIZE + MAX_IO;

/** The fields of every request, the rest of which follows them. */
export interface RequestHeader {
  readonly opcode: number;
  readonly unique: bigint;
  readonly node: number;
}

/** @returns undefined when these are not the bytes of one request. */
export function decodeHeader(request: Buffer): RequestHeader | undefined {
  if (request.length < HEADER_SIZE || request.readUInt32LE(0) !== request.length) return undefined;
  return {
    opcode: request.readUInt32LE(4),
    unique: request.readBigUInt64LE(8),
    node: Number(request.readBigUInt64LE(16)),
  };
}

/** Whose process asks. */
export function decodeCaller(request: Buffer): { uid: number } {
  return { uid: request.readUInt32LE(24) };
}

/** The name that a lookup asks for. */
export function decodeName(request: Buffer): string {
  return request.subarray(HEADER_SIZE, request.indexOf(0, HEADER_SIZE)).toString();
}

/** The flags of open. */
export function decodeOpen(request: Buffer): number {
  return request.readUInt32LE(HEADER_SIZE);
}

/** Where to read or write, or where in a folder to go on, and how much. */
export function decodeIo(request: Buffer): { offset: bigint; length: number } {
  const offset = request.readBigUInt64LE(HEADER_SIZE + 8);
  return { offset, length: request.readUInt32LE(HEADER_SIZE + 16) };
}

/** The bytes of a write, in the request's own memory. */
export function payloadOf(request: Buffer): Buffer {
  return request.subarray(HEADER_SIZE + IO_SIZE);
}

/** Which attributes to set, and the size. */
export function decodeSetattr(request: Buffer): { valid: number; size: bigint } {
  const size = request.readBigUInt64LE(HEADER_SIZE + 16);
  return { valid: request.readUInt32LE(HEADER_SIZE), size };
}

export function decodeFallocate(request: Buffer): { offset: bigint; length: bigint; mode: number } {
  const offset = request.readBigUInt64LE(HEADER_SIZE + 8);
  const length = request.readBigUInt64LE(HEADER_SIZE + 16);
  return { offset, length, mode: request.readUInt32LE(HEADER_SIZE + 24) };
}

export function decodeLseek(request: Buffer): { offset: bigint; whence: number } {
  const offset = request.readBigUInt64LE(HEADER_SIZE + 8);
  return { offset, whence: request.readUInt32LE(HEADER_SIZE + 16) };
}

/** The request that nobody waits for any more. */
export function decodeInterrupt(request: Buffer): bigint {
  return request.readBigUInt64LE(HEADER_SIZE);
}
