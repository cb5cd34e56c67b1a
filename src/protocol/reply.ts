/** 'Simple reply message', 'Structured reply chunk message', 'Extended reply chunk message'. */
import type { StatusRun } from '../block/device.ts';
import {
  EXTENDED_REPLY_MAGIC,
  EXTENDED_REPLY_SIZE,
  REPLY_FLAG_DONE,
  Reply,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  STRUCTURED_REPLY_SIZE,
} from './constants.ts';
import { ProtocolError } from './errors.ts';
import { messageBytes } from './text.ts';

/** What of a request its replies repeat. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offset: bigint;
}

export function chunkHeaderSize(extended: boolean): number {
  return extended ? EXTENDED_REPLY_SIZE : STRUCTURED_REPLY_SIZE;
}

/** @param error an NBD error number; 0 is success. */
export function encodeSimpleReply(into: Buffer, at: number, cookie: Cookie, error: number): void {
  into.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
  into.writeUInt32BE(error, at + 4);
  into.writeUInt32BE(cookie.cookieHigh, at + 8);
  into.writeUInt32BE(cookie.cookieLow, at + 12);
}

/** The header of a chunk with `length` bytes of payload behind it. */
export function encodeChunkHeader(
  into: Buffer,
  at: number,
  cookie: Cookie,
  type: number,
  done: boolean,
  length: number,
  extended: boolean,
): void {
  into.writeUInt32BE(extended ? EXTENDED_REPLY_MAGIC : STRUCTURED_REPLY_MAGIC, at);
  into.writeUInt16BE(done ? REPLY_FLAG_DONE : 0, at + 4);
  into.writeUInt16BE(type, at + 6);
  into.writeUInt32BE(cookie.cookieHigh, at + 8);
  into.writeUInt32BE(cookie.cookieLow, at + 12);
  if (extended) {
    into.writeBigUInt64BE(cookie.offset, at + 16);
    into.writeUInt32BE(0, at + 24);
    into.writeUInt32BE(length, at + 28);
  } else {
    into.writeUInt32BE(length, at + 16);
  }
}

/** The fields of a reply's header, whichever kind it is. */
export interface ReplyHeader {
  kind: 'simple' | 'chunk';
  /** An NBD error number; only in a simple reply. */
  error: number;
  flags: number;
  type: number;
  cookieHigh: number;
  cookieLow: number;
  /** The offset of the request, which extended chunks repeat. */
  offset: bigint | undefined;
  /** Bytes of payload; Infinity when it cannot be represented. */
  length: number;
}

/** Bytes of the header that begins with these four. @throws ProtocolError unknown magic. */
export function replyHeaderSize(magic: number, extended: boolean): number {
  if (extended && magic === EXTENDED_REPLY_MAGIC) return EXTENDED_REPLY_SIZE;
  if (!extended && magic === SIMPLE_REPLY_MAGIC) return 16;
  if (!extended && magic === STRUCTURED_REPLY_MAGIC) return STRUCTURED_REPLY_SIZE;
  throw new ProtocolError(`the server sent an unknown reply: magic 0x${magic.toString(16)}`);
}

/** The reply whose header starts at `at` and is there in full. */
export function decodeReplyHeader(from: Buffer, at: number): ReplyHeader {
  const magic = from.readUInt32BE(at);
  const simple = magic === SIMPLE_REPLY_MAGIC;
  return {
    kind: simple ? 'simple' : 'chunk',
    error: simple ? from.readUInt32BE(at + 4) : 0,
    flags: simple ? REPLY_FLAG_DONE : from.readUInt16BE(at + 4),
    type: simple ? Reply.none : from.readUInt16BE(at + 6),
    cookieHigh: from.readUInt32BE(at + 8),
    cookieLow: from.readUInt32BE(at + 12),
    offset: magic === EXTENDED_REPLY_MAGIC ? from.readBigUInt64BE(at + 16) : undefined,
    length: simple ? 0 : chunkLength(from, at, magic),
  };
}

function chunkLength(from: Buffer, at: number, magic: number): number {
  if (magic === STRUCTURED_REPLY_MAGIC) return from.readUInt32BE(at + 16);
  const high = from.readUInt32BE(at + 24);
  return high > 0 ? Number.POSITIVE_INFINITY : from.readUInt32BE(at + 28);
}

/** The payload of NBD_REPLY_TYPE_OFFSET_HOLE. */
export function encodeHole(offset: bigint, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(12);
  bytes.writeBigUInt64BE(offset, 0);
  bytes.writeUInt32BE(length, 8);
  return bytes;
}

/** The payload of NBD_REPLY_TYPE_ERROR. The message is cut to what the protocol allows. */
export function encodeErrorPayload(error: number, message: string): Buffer {
  const text = messageBytes(message);
  const bytes = Buffer.allocUnsafe(6 + text.length);
  bytes.writeUInt32BE(error, 0);
  bytes.writeUInt16BE(text.length, 4);
  bytes.set(text, 6);
  return bytes;
}

/** An error chunk of any type. @throws ProtocolError lengths that do not fit together. */
export function decodeErrorPayload(
  type: number,
  bytes: Buffer,
): { error: number; message: string; offset?: bigint } {
  if (bytes.length < 6) throw new ProtocolError('an error chunk is too short');
  const error = bytes.readUInt32BE(0);
  const end = 6 + bytes.readUInt16BE(4);
  const fixed = type === Reply.errorOffset ? 8 : 0;
  if (end + fixed > bytes.length) throw new ProtocolError('an error chunk is too short');
  if (error === 0) throw new ProtocolError('an error chunk says that there is no error');
  const message = bytes.toString('utf8', 6, end);
  return fixed ? { error, message, offset: bytes.readBigUInt64BE(end) } : { error, message };
}

/** The payload of NBD_REPLY_TYPE_BLOCK_STATUS or, extended, of BLOCK_STATUS_EXT. */
export function encodeStatus(
  contextId: number,
  runs: readonly StatusRun[],
  extended: boolean,
): Buffer {
  const head = extended ? 8 : 4;
  const size = extended ? 16 : 8;
  const bytes = Buffer.alloc(head + size * runs.length);
  bytes.writeUInt32BE(contextId, 0);
  if (extended) bytes.writeUInt32BE(runs.length, 4);
  let at = head;
  for (const { length, flags } of runs) {
    if (extended) {
      bytes.writeBigUInt64BE(BigInt(length), at);
      bytes.writeBigUInt64BE(BigInt(flags), at + 8);
    } else {
      bytes.writeUInt32BE(length, at);
      bytes.writeUInt32BE(Number(flags), at + 4);
    }
    at += size;
  }
  return bytes;
}

/** @throws ProtocolError lengths that do not fit together, no run, or an empty one. */
export function decodeStatus(
  bytes: Buffer,
  extended: boolean,
): { contextId: number; runs: StatusRun[] } {
  const head = extended ? 8 : 4;
  const size = extended ? 16 : 8;
  const count = (bytes.length - head) / size;
  if (!Number.isInteger(count) || count < 1) {
    throw new ProtocolError('a block status chunk has a wrong length');
  }
  if (extended && bytes.readUInt32BE(4) !== count) {
    throw new ProtocolError('a block status chunk has a wrong count');
  }
  const runs: StatusRun[] = [];
  for (let at = head; at < bytes.length; at += size) {
    const run = extended ? statusRun64(bytes, at) : statusRun32(bytes, at);
    if (run.length === 0) throw new ProtocolError('a block status chunk has an empty extent');
    runs.push(run);
  }
  return { contextId: bytes.readUInt32BE(0), runs };
}

function statusRun32(bytes: Buffer, at: number): StatusRun {
  return { length: bytes.readUInt32BE(at), flags: bytes.readUInt32BE(at + 4) };
}

/** Without a bigint for each of a million, where 32 bits do. */
function statusRun64(bytes: Buffer, at: number): StatusRun {
  const length = bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
  return {
    length: Math.min(length, Number.MAX_SAFE_INTEGER),
    flags:
      bytes.readUInt32BE(at + 8) === 0
        ? bytes.readUInt32BE(at + 12)
        : bytes.readBigUInt64BE(at + 8),
  };
}
