/** What the kernel is answered on /dev/fuse (include/uapi/linux/fuse.h): pure functions. */
import { HEADER_SIZE, MAX_IO } from './wire.ts';

const REPLY_HEADER_SIZE = 16;

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
