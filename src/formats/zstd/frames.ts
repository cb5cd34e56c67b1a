import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BlockTable } from '../../codecs/block-table.ts';
import { bytesAt } from '../../codecs/encoded.ts';

const MAGIC = 0xfd2fb528;
/** Sixteen numbers from this on are those of frames to be skipped. */
const SKIPPABLE = 0x184d2a50;
/** Magic, descriptor, window, dictionary and size of the content: what a header has at most. */
const LONGEST_HEADER = 18;
/** pzstd puts the size of each frame into one to be skipped before it. */
const HINT = 12;
/** A frame of more blocks (of at most 128 KiB each) is not worth a look at each of them. */
const MOST_BLOCKS = 64;

/** Where frames begin and end, by a few bytes of each. */
class Scanner {
  readonly #file: BlockDevice;
  readonly #options: RequestOptions;
  readonly size: number;

  constructor(file: BlockDevice, options: RequestOptions) {
    this.#file = file;
    this.#options = options;
    this.size = Number(file.size);
  }

  /** As many bytes as there are, but no more than asked for. */
  bytes(at: number, most: number): Promise<Buffer> {
    return bytesAt(this.#file, at, Math.max(0, Math.min(most, this.size - at)), this.#options);
  }

  /** Where a frame ends; undefined: it has too many blocks. @param at where its first block is. */
  async end(at: number, hasChecksum: boolean): Promise<number | undefined> {
    let next = at;
    for (let count = 0; count < MOST_BLOCKS; count++) {
      const block = await this.bytes(next, 3);
      if (block.length < 3) throw bad('it is cut short');
      const header = block.readUIntLE(0, 3);
      const isOneByte = ((header >> 1) & 3) === 1;
      next += 3 + (isOneByte ? 1 : header >> 3);
      if (header & 1) return next + (hasChecksum ? 4 : 0);
    }
    return undefined;
  }
}

/**
 * The frames of a Zstandard file; undefined where they do not say how large they are, or are too
 * long to be looked through.
 * @param file takes any offset and length. @throws BlockError EIO it is no such file, or damaged.
 */
export async function framesOf(
  file: BlockDevice,
  options: RequestOptions,
): Promise<BlockTable | undefined> {
  const scanner = new Scanner(file, options);
  const table = new BlockTable('zstd');
  let hint: number | undefined;
  for (let at = 0; at < scanner.size; ) {
    const start = await scanner.bytes(at, LONGEST_HEADER);
    if (start.length < 8) throw bad('it is no Zstandard file, or is cut short');
    const magic = start.readUInt32LE(0);
    if (magic >= SKIPPABLE && magic < SKIPPABLE + 16) {
      const length = start.readUInt32LE(4);
      hint =
        magic === SKIPPABLE && length === 4 && start.length >= HINT
          ? start.readUInt32LE(8)
          : undefined;
      at += 8 + length;
      continue;
    }
    if (magic !== MAGIC) throw bad('it is no Zstandard file, or is damaged');
    const header = readHeader(start);
    if (header.content === undefined) return undefined;
    const end = hint ? at + hint : await scanner.end(at + header.length, header.hasChecksum);
    if (end === undefined) return undefined;
    if (end > scanner.size) throw bad('it is cut short');
    table.add({ from: at, packed: end - at, length: header.content });
    hint = undefined;
    at = end;
  }
  if (table.count > 0) return table;
  return undefined;
}

interface Header {
  readonly length: number;
  readonly hasChecksum: boolean;
  /** Bytes of the content, where it says so. */
  readonly content: number | undefined;
}

function readHeader(bytes: Buffer): Header {
  const descriptor = bytes[4]!;
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const field = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const at = 5 + (isSingle ? 0 : 1) + dictionary;
  if (bytes.length < at + field) throw bad('it is cut short');
  return {
    length: at + field,
    hasChecksum: (descriptor & 4) !== 0,
    content: field === 0 ? undefined : contentSize(bytes, at, field),
  };
}

function contentSize(bytes: Buffer, at: number, field: number): number {
  if (field === 8) return Number(bytes.readBigUInt64LE(at));
  return bytes.readUIntLE(at, field) + (field === 2 ? 256 : 0);
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `zstd: ${words}`);
}
