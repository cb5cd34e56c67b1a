/** 'Request message', compact and extended. */
import {
  EXTENDED_REQUEST_MAGIC,
  EXTENDED_REQUEST_SIZE,
  PLACE_SIZE,
  REQUEST_MAGIC,
  REQUEST_SIZE,
} from './constants.ts';
import { ProtocolError } from './errors.ts';

/** The fields of one request. A cookie is eight bytes that only their sender understands. */
export interface RequestHeader {
  flags: number;
  type: number;
  /** The cookie's first and last four bytes. */
  cookieHigh: number;
  cookieLow: number;
  offset: bigint;
  /** Bytes; more than 2^53-1 comes out as Infinity, as no one can mean it. */
  length: number;
  /** Where in the shared memory the payload is, with the flag that says so. */
  place?: number | undefined;
}

/** How the headers of requests look. */
export interface RequestForm {
  readonly extended: boolean;
  /** Memory is shared: a place follows each header. */
  readonly shared?: unknown;
}

export function requestSize({ extended, shared }: RequestForm): number {
  return (extended ? EXTENDED_REQUEST_SIZE : REQUEST_SIZE) + (shared ? PLACE_SIZE : 0);
}

export function encodeRequest(
  into: Buffer,
  at: number,
  request: Readonly<RequestHeader>,
  { extended, shared }: RequestForm,
): void {
  into.writeUInt32BE(extended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC, at);
  into.writeUInt16BE(request.flags, at + 4);
  into.writeUInt16BE(request.type, at + 6);
  into.writeUInt32BE(request.cookieHigh, at + 8);
  into.writeUInt32BE(request.cookieLow, at + 12);
  into.writeBigUInt64BE(request.offset, at + 16);
  if (extended) {
    writeLength64(into, at + 24, request.length);
  } else {
    into.writeUInt32BE(request.length, at + 24);
  }
  if (!shared) return;
  const end = at + (extended ? EXTENDED_REQUEST_SIZE : REQUEST_SIZE);
  writeLength64(into, end, request.place ?? 0);
}

function writeLength64(into: Buffer, at: number, length: number): void {
  into.writeUInt32BE(Math.floor(length / 2 ** 32), at);
  into.writeUInt32BE(length % 2 ** 32, at + 4);
}

/**
 * The request whose header starts at `at`, which must be there in full.
 * @throws ProtocolError wrong magic: what follows cannot be understood.
 */
export function decodeRequest(from: Buffer, at: number, form: RequestForm): RequestHeader {
  const { extended, shared } = form;
  const end = at + (extended ? EXTENDED_REQUEST_SIZE : REQUEST_SIZE);
  if (from.readUInt32BE(at) !== (extended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC)) {
    throw new ProtocolError('the client sent something that is not a request: wrong magic');
  }
  return {
    flags: from.readUInt16BE(at + 4),
    type: from.readUInt16BE(at + 6),
    cookieHigh: from.readUInt32BE(at + 8),
    cookieLow: from.readUInt32BE(at + 12),
    offset: from.readBigUInt64BE(at + 16),
    length: extended ? length64(from, at + 24) : from.readUInt32BE(at + 24),
    place: shared ? length64(from, end) : undefined,
  };
}

function length64(from: Buffer, at: number): number {
  const length = from.readUInt32BE(at) * 2 ** 32 + from.readUInt32BE(at + 4);
  return Number.isSafeInteger(length) ? length : Number.POSITIVE_INFINITY;
}

/** The payload of a block status request that names contexts. */
export function encodeStatusPayload(length: number, contextIds: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 + 4 * contextIds.length);
  bytes.writeBigUInt64BE(BigInt(length), 0);
  for (const [at, id] of contextIds.entries()) bytes.writeUInt32BE(id, 8 + 4 * at);
  return bytes;
}

/** undefined: not of the right form. */
export function decodeStatusPayload(
  bytes: Buffer,
): { length: number; contextIds: number[] } | undefined {
  if (bytes.length < 8 || bytes.length % 4 !== 0) return undefined;
  const contextIds: number[] = [];
  for (let at = 8; at < bytes.length; at += 4) contextIds.push(bytes.readUInt32BE(at));
  return { length: length64(bytes, 0), contextIds };
}
