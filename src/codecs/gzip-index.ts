/**
 * Where decoding of gzip may begin, and with what. The index is a file of records, each of 24 bytes
 * and perhaps some more: how many bytes have come out before, how many have gone in (the last of
 * which may have bits that are still to be decoded), the length of what follows the record, those
 * bits, that byte, and whether it is the end. After a place come the 32 KiB that came out before
 * it, deflated; after the end the last 8 bytes of the gzip file, by which one sees that the index
 * is for it.
 */
import { deflateRawSync } from 'node:zlib';
import { BlockError } from '../block/errors.ts';
import { type Coding, type Decoder, putInto, type Sink } from './coding.ts';
import { BLOCK, Inflater } from './inflater.ts';
import { leadingZeroes } from './stepping.ts';

export const INDEX_MAGIC = Buffer.from('nbdpgzi1', 'latin1');
export const RECORD = 24;
/** Most that is remembered of what came out before. */
export const WINDOW = 32 << 10;
export const TRAILER = 8;

export interface Place {
  readonly out: number;
  readonly in: number;
  /** Bits of the byte before `in` that are still to be decoded. */
  readonly bits: number;
  readonly byte: number;
  /** Bytes that follow the record. */
  readonly length: number;
  readonly isEnd: boolean;
}

export function writeRecord({ out, in: at, bits, byte, length, isEnd }: Place): Buffer {
  const record = Buffer.alloc(RECORD);
  record.writeBigUInt64LE(BigInt(out), 0);
  record.writeBigUInt64LE(BigInt(at), 8);
  record.writeUInt32LE(length, 16);
  record.set([bits, byte, Number(isEnd)], 20);
  return record;
}

/** @throws BlockError EIO the index is damaged. */
export function readRecord(record: Buffer): Place {
  const place = {
    out: Number(record.readBigUInt64LE(0)),
    in: Number(record.readBigUInt64LE(8)),
    length: record.readUInt32LE(16),
    bits: record[20]!,
    byte: record[21]!,
    isEnd: record[22] === 1,
  };
  const isSafe = Number.isSafeInteger(place.out) && Number.isSafeInteger(place.in);
  if (isSafe && place.bits < 8 && place.length <= 2 * WINDOW) return place;
  throw new BlockError('EIO', 'the index is damaged');
}

/** gzip only. */
const WINDOW_BITS = 31;
const [BETWEEN_BLOCKS, LAST_BLOCK, UNUSED_BITS] = [128, 64, 7] as const;

/** Decodes gzip, and gives not what comes out but the index. @throws BlockError ENOTSUP no libz. */
export function gzipIndexer({ span = 1 << 20 }: Coding): Decoder {
  const inflater = Inflater.begin(WINDOW_BITS);
  if (!inflater) throw new BlockError('ENOTSUP', 'an index needs libz, which is not installed');
  const window = Buffer.allocUnsafeSlow(WINDOW);
  const scrap = Buffer.allocUnsafeSlow(64 << 10);
  const trailer: number[] = [];
  let state: 'new' | 'header' | 'blocks' | 'between' = 'new';
  let padding = 0;
  const at = { out: 0, in: 0, last: 0, byte: 0 };

  const place = (sink: Sink, bits: number) => {
    const before = deflateRawSync(window.subarray(0, inflater.window(window)), { level: 1 });
    const length = state === 'header' ? 0 : before.length;
    const record = { out: at.out, in: at.in, bits, byte: at.byte, length, isEnd: false };
    putInto(sink, writeRecord(record));
    putInto(sink, before.subarray(0, length));
    at.last = at.out;
    state = 'blocks';
  };

  const step = (rest: Uint8Array, sink: Sink): Uint8Array => {
    const zeroes = state === 'between' ? leadingZeroes(rest) : 0;
    padding += zeroes;
    if (zeroes > 0) return rest.subarray(zeroes);
    const { read, written, ended, type } = inflater.inflate(rest, scrap, BLOCK);
    if (state === 'between') {
      state = 'header';
      at.in += padding;
      padding = 0;
    }
    at.in += read;
    at.out += written;
    if (read > 0) at.byte = rest[read - 1]!;
    trailer.push(...rest.subarray(Math.max(0, read - TRAILER), read));
    trailer.splice(0, trailer.length - TRAILER);
    if (ended) {
      state = 'between';
      inflater.reset();
    } else if ((type & (BETWEEN_BLOCKS | LAST_BLOCK)) === BETWEEN_BLOCKS) {
      if (state === 'header' || at.out - at.last >= span) place(sink, type & UNUSED_BITS);
    }
    if (read === 0 && written === 0 && !ended) return rest.subarray(rest.length);
    return rest.subarray(read);
  };

  return {
    decode(input, last, sink) {
      if (state === 'new') {
        putInto(sink, INDEX_MAGIC);
        state = 'header';
      }
      for (let rest = input; rest.length > 0; ) rest = step(rest, sink);
      if (!last) return;
      if (state !== 'between') throw new BlockError('EIO', 'it is cut short');
      const end = { out: at.out, in: at.in, bits: 0, byte: 0, length: TRAILER, isEnd: true };
      putInto(sink, writeRecord(end));
      putInto(sink, Buffer.from(trailer));
    },
    close: () => inflater.close(),
  };
}
