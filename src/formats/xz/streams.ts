import { crc32 } from 'node:zlib';
import { isZero } from '../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { bytesAt } from '../../codecs/encoded.ts';
import { FOOTER_MAGIC, HEADER, HEADER_MAGIC, readVli } from './wire.ts';

/** Bytes of an index; a block takes two at least. */
const MOST_INDEX = 64 << 20;
/** Streams and blocks of one file. */
const MOST = 1 << 21;
/** Padding between streams is looked through in pieces. */
const PIECE = 64 << 10;

/** A stream: where its first block is, how blocks are checked, and what the index says of each. */
export interface XzStream {
  readonly start: number;
  readonly check: number;
  /** Bytes of a block without its padding, and decoded. */
  readonly records: readonly (readonly [unpadded: number, length: number])[];
}

/**
 * The streams of an xz file in order, from its last footer to its first header.
 * @param file takes any offset and length. @throws BlockError EIO it is not one, or damaged.
 */
export async function readStreams(file: BlockDevice, options: RequestOptions): Promise<XzStream[]> {
  const streams: XzStream[] = [];
  let blocks = 0;
  for (let end = Number(file.size); end > 0 || streams.length === 0; ) {
    end = await beforePadding(file, end, options);
    if (end === 0 && streams.length > 0) throw bad('padding comes before its first stream');
    const stream = await readStream(file, end, options);
    blocks += stream.records.length;
    if (streams.push(stream) > MOST || blocks > MOST) throw bad(`more than ${MOST} blocks`);
    end = stream.start - HEADER;
  }
  return streams.reverse();
}

/** Where the zeroes begin that may follow a stream, in whole groups of four. */
async function beforePadding(
  file: BlockDevice,
  from: number,
  options: RequestOptions,
): Promise<number> {
  for (let end = from; end > 0; ) {
    options.signal?.throwIfAborted();
    const length = Math.min(PIECE, end);
    const bytes = await bytesAt(file, end - length, length, options);
    let at = length;
    if (isZero(bytes)) at = 0;
    else while (bytes[at - 1] === 0) at -= 1;
    end -= length - at;
    if (at === 0) continue;
    if ((from - end) % 4 === 0) return end;
    throw bad('its size is no multiple of 4');
  }
  return 0;
}

async function readStream(
  file: BlockDevice,
  end: number,
  options: RequestOptions,
): Promise<XzStream> {
  if (end < 2 * HEADER) throw bad('it is no xz file, or is cut short');
  const footer = await bytesAt(file, end - HEADER, HEADER, options);
  if (!footer.subarray(10).equals(FOOTER_MAGIC)) throw bad('it is no xz file, or is cut short');
  if (crc32(footer.subarray(4, 10)) !== footer.readUInt32LE(0)) throw bad('a footer is damaged');
  const flags = footer.subarray(8, 10);
  const indexSize = (footer.readUInt32LE(4) + 1) * 4;
  const indexAt = end - HEADER - indexSize;
  if (indexAt < HEADER || indexSize > MOST_INDEX) throw bad('the size of its index is wrong');
  const records = readIndex(await bytesAt(file, indexAt, indexSize, options));
  let start = indexAt;
  for (const [unpadded] of records) start -= Math.ceil(unpadded / 4) * 4;
  if (start < HEADER) throw bad('its index tells of more than there is');
  const header = await bytesAt(file, start - HEADER, HEADER, options);
  if (!header.subarray(0, 6).equals(HEADER_MAGIC)) throw bad('the header of a stream is missing');
  if (crc32(header.subarray(6, 8)) !== header.readUInt32LE(8)) throw bad('a header is damaged');
  if (!header.subarray(6, 8).equals(flags)) throw bad('a header and its footer do not agree');
  if (flags[0] !== 0 || flags[1]! > 15) throw bad('it is of a kind that is not known');
  return { start, check: flags[1]!, records };
}

function readIndex(index: Buffer): XzStream['records'] {
  const wrong = () => bad('an index is damaged');
  const end = index.length - 4;
  if (index[0] !== 0 || crc32(index.subarray(0, end)) !== index.readUInt32LE(end)) throw wrong();
  const reader = { bytes: index.subarray(0, end), at: 1 };
  const count = readVli(reader) ?? Number.POSITIVE_INFINITY;
  if (count > MOST) throw bad(`more than ${MOST} blocks`);
  const records: [number, number][] = [];
  while (records.length < count) {
    const unpadded = readVli(reader);
    const length = readVli(reader);
    // The shortest block has a header of 8 bytes.
    if (unpadded === undefined || length === undefined || unpadded < 5) throw wrong();
    records.push([unpadded, length]);
  }
  const padding = reader.bytes.subarray(reader.at);
  if (padding.length > 3 || padding.some(byte => byte !== 0)) throw wrong();
  return records;
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `xz: ${words}`);
}
