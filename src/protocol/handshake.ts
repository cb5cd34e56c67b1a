/** Handshake messages as bytes: 'Handshake', 'Option types' and 'Option reply types'. */
import type { BlockSize } from '../block/device.ts';
import {
  INIT_PASSWD,
  Info,
  MAX_STRING,
  OLDSTYLE_MAGIC,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
} from './constants.ts';
import { ProtocolError } from './errors.ts';

const GREETING_SIZE = 18;
export const OLDSTYLE_GREETING_SIZE = 152;
export const OPTION_HEADER_SIZE = 16;
export const OPTION_REPLY_HEADER_SIZE = 20;
/** Size and flags at the end of NBD_OPT_EXPORT_NAME, without and with its padding. */
export const EXPORT_NAME_REPLY_SIZE = 10;
export const EXPORT_NAME_PADDING = 124;

/** What the server says first in newstyle negotiation. */
export function encodeGreeting(handshakeFlags: number): Buffer {
  const bytes = Buffer.alloc(GREETING_SIZE);
  bytes.writeBigUInt64BE(INIT_PASSWD, 0);
  bytes.writeBigUInt64BE(OPTION_MAGIC, 8);
  bytes.writeUInt16BE(handshakeFlags, 16);
  return bytes;
}

/** All that an oldstyle server says before transmission. */
export function encodeOldstyleGreeting(size: bigint, transmissionFlags: number): Buffer {
  const bytes = Buffer.alloc(OLDSTYLE_GREETING_SIZE);
  bytes.writeBigUInt64BE(INIT_PASSWD, 0);
  bytes.writeBigUInt64BE(OLDSTYLE_MAGIC, 8);
  bytes.writeBigUInt64BE(size, 16);
  bytes.writeUInt32BE(transmissionFlags, 24);
  return bytes;
}

/** The style of the server, from its first 16 bytes. @throws ProtocolError not an NBD server. */
export function decodeMagics(bytes: Buffer): 'oldstyle' | 'newstyle' {
  if (bytes.readBigUInt64BE(0) !== INIT_PASSWD) {
    throw new ProtocolError('the server does not speak NBD: its first bytes are not NBDMAGIC');
  }
  const second = bytes.readBigUInt64BE(8);
  if (second === OPTION_MAGIC) return 'newstyle';
  if (second === OLDSTYLE_MAGIC) return 'oldstyle';
  throw new ProtocolError('the server speaks an unknown kind of NBD: wrong second magic');
}

export function encodeOption(option: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(OPTION_HEADER_SIZE + data.length);
  bytes.writeBigUInt64BE(OPTION_MAGIC, 0);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(data.length, 12);
  bytes.set(data, OPTION_HEADER_SIZE);
  return bytes;
}

/** @throws ProtocolError wrong magic. */
export function decodeOptionHeader(bytes: Buffer): { option: number; length: number } {
  if (bytes.readBigUInt64BE(0) !== OPTION_MAGIC) {
    throw new ProtocolError('the client sent something that is not an option: wrong magic');
  }
  return { option: bytes.readUInt32BE(8), length: bytes.readUInt32BE(12) };
}

export function encodeOptionReply(option: number, reply: number, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(OPTION_REPLY_HEADER_SIZE + data.length);
  bytes.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(reply, 12);
  bytes.writeUInt32BE(data.length, 16);
  bytes.set(data, OPTION_REPLY_HEADER_SIZE);
  return bytes;
}

/** @throws ProtocolError wrong magic. */
export function decodeOptionReplyHeader(bytes: Buffer): {
  option: number;
  reply: number;
  length: number;
} {
  if (bytes.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC) {
    throw new ProtocolError('the server sent something that is not an option reply: wrong magic');
  }
  return {
    option: bytes.readUInt32BE(8),
    reply: bytes.readUInt32BE(12),
    length: bytes.readUInt32BE(16),
  };
}

/** The data of NBD_OPT_INFO and NBD_OPT_GO. */
export interface InfoRequest {
  readonly name: string;
  /** Values of Info. */
  readonly requests: readonly number[];
}

export function encodeInfoRequest({ name, requests }: InfoRequest): Buffer {
  const text = Buffer.from(name);
  const bytes = Buffer.alloc(4 + text.length + 2 + 2 * requests.length);
  bytes.writeUInt32BE(text.length, 0);
  bytes.set(text, 4);
  bytes.writeUInt16BE(requests.length, 4 + text.length);
  for (const [at, request] of requests.entries()) {
    bytes.writeUInt16BE(request, 6 + text.length + 2 * at);
  }
  return bytes;
}

/** @throws ProtocolError lengths that do not fit together. */
export function decodeInfoRequest(data: Buffer): InfoRequest {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.uint16();
  const requests = Array.from({ length: Math.min(count, data.length) }, () => cursor.uint16());
  if (requests.length !== count) throw new ProtocolError('more requests than bytes');
  cursor.end();
  return { name, requests };
}

/** The data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

export function encodeMetaContextRequest({ name, queries }: MetaContextRequest): Buffer {
  return Buffer.concat([text32(name), uint32(queries.length), ...queries.map(text32)]);
}

/** @throws ProtocolError lengths that do not fit together. */
export function decodeMetaContextRequest(data: Buffer): MetaContextRequest {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.uint32();
  if (count > data.length) throw new ProtocolError('more queries than bytes');
  const queries = Array.from({ length: count }, () => cursor.text());
  cursor.end();
  return { name, queries };
}

/** The data of NBD_REP_SERVER. */
export function encodeServerReply(name: string, description = ''): Buffer {
  return Buffer.concat([text32(name), Buffer.from(description)]);
}

/** @throws ProtocolError lengths that do not fit together. */
export function decodeServerReply(data: Buffer): { name: string; description?: string } {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const description = cursor.rest().toString();
  return description ? { name, description } : { name };
}

/** The data of NBD_REP_META_CONTEXT. */
export function encodeMetaContextReply(id: number, name: string): Buffer {
  return Buffer.concat([uint32(id), Buffer.from(name)]);
}

/** @throws ProtocolError too short. */
export function decodeMetaContextReply(data: Buffer): { id: number; name: string } {
  const cursor = new Cursor(data);
  return { id: cursor.uint32(), name: cursor.rest().toString() };
}

/** The data of NBD_OPT_SHARED_MEMORY, and of the reply of that name (docs/protocol.md). */
export function encodeMemorySize(bytes: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeBigUInt64BE(BigInt(bytes), 0);
  return data;
}

/** undefined: not of the right form. More than 2^53-1 comes out as Infinity. */
export function decodeMemorySize(data: Buffer): number | undefined {
  if (data.length !== 8) return undefined;
  const bytes = Number(data.readBigUInt64BE(0));
  return Number.isSafeInteger(bytes) ? bytes : Number.POSITIVE_INFINITY;
}

/** One NBD_REP_INFO, as a server gives it and a client collects it. */
export type InfoReply =
  | { readonly info: 'export'; readonly size: bigint; readonly flags: number }
  | { readonly info: 'name' | 'description'; readonly text: string }
  | { readonly info: 'blockSize'; readonly blockSize: BlockSize }
  | { readonly info: 'unknown'; readonly type: number };

/** The data of an NBD_REP_INFO. */
export function encodeInfoReply(reply: Exclude<InfoReply, { info: 'unknown' }>): Buffer {
  switch (reply.info) {
    case 'export': {
      const bytes = Buffer.alloc(12);
      bytes.writeUInt16BE(Info.export, 0);
      bytes.writeBigUInt64BE(reply.size, 2);
      bytes.writeUInt16BE(reply.flags, 10);
      return bytes;
    }
    case 'blockSize': {
      const { minimum, preferred, maximum } = reply.blockSize;
      const bytes = Buffer.alloc(14);
      bytes.writeUInt16BE(Info.blockSize, 0);
      bytes.writeUInt32BE(minimum, 2);
      bytes.writeUInt32BE(preferred, 6);
      bytes.writeUInt32BE(maximum, 10);
      return bytes;
    }
    default: {
      const bytes = Buffer.alloc(2);
      bytes.writeUInt16BE(Info[reply.info], 0);
      return Buffer.concat([bytes, Buffer.from(reply.text)]);
    }
  }
}

/** @throws ProtocolError a length that does not fit the type, or impossible block sizes. */
export function decodeInfoReply(data: Buffer): InfoReply {
  const cursor = new Cursor(data);
  const type = cursor.uint16();
  switch (type) {
    case Info.export: {
      const reply = { info: 'export', size: cursor.uint64(), flags: cursor.uint16() } as const;
      cursor.end();
      return reply;
    }
    case Info.name:
    case Info.description:
      return { info: type === Info.name ? 'name' : 'description', text: cursor.rest().toString() };
    case Info.blockSize: {
      const minimum = cursor.uint32();
      const blockSize = { minimum, preferred: cursor.uint32(), maximum: cursor.uint32() };
      cursor.end();
      checkBlockSize(blockSize);
      return { info: 'blockSize', blockSize };
    }
    default:
      return { info: 'unknown', type };
  }
}

function checkBlockSize({ minimum, preferred, maximum }: BlockSize): void {
  const powerOfTwo = (value: number) => Number.isInteger(Math.log2(value));
  const good =
    powerOfTwo(minimum) &&
    minimum <= 65536 &&
    powerOfTwo(preferred) &&
    preferred >= Math.max(512, minimum) &&
    maximum >= preferred;
  if (!good) {
    throw new ProtocolError(
      `the server announced impossible block sizes: ${minimum}, ${preferred}, ${maximum}`,
    );
  }
}

/** Size and transmission flags at the end of NBD_OPT_EXPORT_NAME. */
export function encodeExportNameReply(size: bigint, flags: number, padded: boolean): Buffer {
  const bytes = Buffer.alloc(EXPORT_NAME_REPLY_SIZE + (padded ? EXPORT_NAME_PADDING : 0));
  bytes.writeBigUInt64BE(size, 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

function text32(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** Reads fields one after the other and never past the end. */
class Cursor {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  uint16(): number {
    return this.#bytes(2).readUInt16BE(0);
  }

  uint32(): number {
    return this.#bytes(4).readUInt32BE(0);
  }

  uint64(): bigint {
    return this.#bytes(8).readBigUInt64BE(0);
  }

  /** A 32-bit length, then that many bytes of text. */
  text(): string {
    const length = this.uint32();
    if (length > MAX_STRING) throw new ProtocolError(`a string of ${length} bytes is too long`);
    return this.#bytes(length).toString();
  }

  rest(): Buffer {
    return this.#bytes(this.#data.length - this.#at);
  }

  end(): void {
    if (this.#at !== this.#data.length) throw new ProtocolError('the message is too long');
  }

  #bytes(length: number): Buffer {
    if (this.#at + length > this.#data.length) throw new ProtocolError('the message is too short');
    const bytes = this.#data.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}
