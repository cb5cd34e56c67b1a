/** The FUSE protocol as the kernel speaks it on /dev/fuse (include/uapi/linux/fuse.h): pure functions. */

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
const REPLY_HEADER_SIZE = 16;
/** The fields of a read or a write. */
const IO_SIZE = 40;
/** Bytes of one read or write at most. */
const MAX_IO = 1 << 20;
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

/** What begins an answer. @param errno 0, or the system's number of an error. */
export function encodeReplyHeader(unique: bigint, errno: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(REPLY_HEADER_SIZE);
  header.writeUInt32LE(REPLY_HEADER_SIZE + length, 0);
  header.writeInt32LE(-errno, 4);
  header.writeBigUInt64LE(unique, 8);
  return header;
}

/** Oldest minor version of protocol 7 whose layouts are these: Linux 3.15. */
const OLDEST_MINOR = 23;
const MAJOR = 7;
const MINOR = 38;

const InitFlag = {
  asyncRead: 1 << 0,
  atomicOTrunc: 1 << 3,
  bigWrites: 1 << 5,
  asyncDirectIo: 1 << 15,
  maxPages: 1 << 22,
  extended: 1 << 30,
} as const;
/** In the second word of flags. */
const DIRECT_IO_ALLOW_MMAP = 1 << 4;
const WANTED =
  InitFlag.asyncRead |
  InitFlag.atomicOTrunc |
  InitFlag.bigWrites |
  InitFlag.asyncDirectIo |
  InitFlag.maxPages |
  InitFlag.extended;
/** Requests that nobody waits for, such as reads ahead, under way at once. */
const MAX_BACKGROUND = 64;
const PAGE = 4096;

/** The answer to the kernel's greeting; undefined when its protocol is too old. */
export function agree(request: Buffer): Buffer | undefined {
  const [major, minor, readAhead, offered] = [0, 4, 8, 12].map(at =>
    request.readUInt32LE(HEADER_SIZE + at),
  ) as [number, number, number, number];
  if (major < MAJOR || (major === MAJOR && minor < OLDEST_MINOR)) return undefined;
  const reply = Buffer.alloc(64);
  reply.writeUInt32LE(MAJOR, 0);
  reply.writeUInt32LE(MINOR, 4);
  // A newer major version begins again with this one.
  if (major > MAJOR) return reply;
  reply.writeUInt32LE(readAhead, 8);
  reply.writeUInt32LE((offered & WANTED) >>> 0, 12);
  reply.writeUInt16LE(MAX_BACKGROUND, 16);
  reply.writeUInt16LE((MAX_BACKGROUND * 3) / 4, 18);
  reply.writeUInt32LE(MAX_IO, 20);
  reply.writeUInt32LE(1, 24);
  reply.writeUInt16LE(MAX_IO / PAGE, 28);
  if ((offered & InitFlag.extended) !== 0) reply.writeUInt32LE(DIRECT_IO_ALLOW_MMAP, 32);
  return reply;
}

/** What stat tells of a file or folder. */
export interface Attributes {
  readonly node: number;
  readonly size: bigint;
  /** Of 512 bytes. */
  readonly blocks: bigint;
  /** Of all its times. */
  readonly seconds: bigint;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
}

/** How long the kernel may keep what it has been told, in seconds. */
export interface Timeouts {
  readonly entryTimeout: number;
  readonly attributeTimeout: number;
}

const ATTRIBUTES_SIZE = 88;

function putAttributes(into: Buffer, at: number, attributes: Attributes): void {
  const { node, size, blocks, seconds, mode, links, uid, gid } = attributes;
  const times = [seconds, seconds, seconds];
  [BigInt(node), size, blocks, ...times].forEach((value, index) => {
    into.writeBigUInt64LE(value, at + 8 * index);
  });
  [mode, links, uid, gid, 0, PAGE].forEach((value, index) => {
    into.writeUInt32LE(value, at + 60 + 4 * index);
  });
}

/** Seconds and nanoseconds, at their places. */
function putTime(into: Buffer, time: number, seconds: number, nanoseconds: number): void {
  into.writeBigUInt64LE(BigInt(Math.floor(time)), seconds);
  into.writeUInt32LE(Math.floor((time % 1) * 1e9), nanoseconds);
}

/** The answer to a lookup. */
export function encodeEntry(attributes: Attributes, timeouts: Timeouts): Buffer {
  const reply = Buffer.alloc(40 + ATTRIBUTES_SIZE);
  reply.writeBigUInt64LE(BigInt(attributes.node), 0);
  putTime(reply, timeouts.entryTimeout, 16, 32);
  putTime(reply, timeouts.attributeTimeout, 24, 36);
  putAttributes(reply, 40, attributes);
  return reply;
}

/** The answer to getattr and setattr. */
export function encodeAttributes(attributes: Attributes, timeouts: Timeouts): Buffer {
  const reply = Buffer.alloc(16 + ATTRIBUTES_SIZE);
  putTime(reply, timeouts.attributeTimeout, 0, 8);
  putAttributes(reply, 16, attributes);
  return reply;
}

/** The answer to open and opendir: nothing but how it is open. */
export function encodeOpen(flags: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32LE(flags, 8);
  return reply;
}

/** The answer to a write: so many bytes. */
export function encodeWritten(length: number): Buffer {
  const reply = Buffer.alloc(8);
  reply.writeUInt32LE(length);
  return reply;
}

/** The answer to statfs. */
export function encodeStatfs(): Buffer {
  const reply = Buffer.alloc(80);
  [512, 255, 512].forEach((value, index) => {
    reply.writeUInt32LE(value, 40 + 4 * index);
  });
  return reply;
}

/** The answer to lseek. */
export function encodeLseek(offset: bigint): Buffer {
  const reply = Buffer.alloc(8);
  reply.writeBigUInt64LE(offset);
  return reply;
}

/** A name in a folder. */
export interface Entry {
  readonly name: string;
  readonly node: number;
  readonly folder: boolean;
}

const FOLDER_TYPE = 4;
const FILE_TYPE = 8;

/** As many of the entries from the `from`th on as fit into `room` bytes. */
export function encodeEntries(entries: readonly Entry[], from: number, room: number): Buffer {
  const parts: Buffer[] = [];
  let used = 0;
  for (let index = from; index < entries.length; index++) {
    const { name, node, folder } = entries[index]!;
    const bytes = Buffer.from(name);
    const part = Buffer.alloc((24 + bytes.length + 7) & ~7);
    if (used + part.length > room) break;
    part.writeBigUInt64LE(BigInt(node), 0);
    part.writeBigUInt64LE(BigInt(index + 1), 8);
    part.writeUInt32LE(bytes.length, 16);
    part.writeUInt32LE(folder ? FOLDER_TYPE : FILE_TYPE, 20);
    bytes.copy(part, 24);
    parts.push(part);
    used += part.length;
  }
  return Buffer.concat(parts);
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
