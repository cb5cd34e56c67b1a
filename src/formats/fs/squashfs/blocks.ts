import { BlockCache, Budget } from '../../../block/block-cache.ts';
import { contiguous } from '../../../block/data.ts';
import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import { decompress } from '../decompress.ts';
import type { Pages } from '../pages.ts';
import type { Superblock } from './superblock.ts';

const METADATA = 8192;
/** Bytes of decoded blocks that are kept. */
const KEPT = 32 << 20;
const STORED = 0x8000;
/** Of a block of data: it is not compressed. */
const STORED_DATA = 1 << 24;

interface Block {
  readonly byteLength: number;
  readonly bytes: Buffer;
  /** Where the next one begins. */
  readonly next: number;
}

/** The blocks of an image, decoded. */
export class Blocks {
  readonly #pages: Pages;
  readonly #superblock: Superblock;
  readonly #cache = new BlockCache<number, Block>(new Budget(KEPT));

  constructor(pages: Pages, superblock: Superblock) {
    this.#pages = pages;
    this.#superblock = superblock;
  }

  /** Metadata from a place in a block on, across as many blocks as it takes. */
  async metadata(
    what: string,
    place: number,
    offset: number,
    length: number,
    options?: RequestOptions,
  ): Promise<Buffer> {
    const parts: Buffer[] = [];
    let skip = offset;
    let left = length;
    for (let at = place; left > 0; ) {
      const { bytes, next } = await this.#metadataBlock(what, at, options);
      const part = bytes.subarray(skip, skip + left);
      if (part.length === 0) throw damaged(what, 'it is cut short');
      parts.push(part);
      left -= part.length;
      skip = 0;
      at = next;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  #metadataBlock(what: string, at: number, options?: RequestOptions) {
    return this.#cache.get(
      at,
      async (asked): Promise<Block> => {
        const header = (await this.#pages.structure(what, at, 2, asked)).readUInt16LE(0);
        const length = header & ~STORED;
        if (length === 0 || length > METADATA) throw damaged(what, `a block of ${length} bytes`);
        const stored = await this.#pages.structure(what, at + 2, length, asked);
        const { compression } = this.#superblock;
        const bytes =
          header & STORED ? stored : await decompress(what, compression, stored, METADATA);
        return { byteLength: bytes.length, bytes, next: at + 2 + length };
      },
      options,
    );
  }

  /** A block of data, or of fragments. @param size with the bit of those that are not compressed. */
  async data(what: string, at: number, size: number, options?: RequestOptions): Promise<Buffer> {
    const { blockSize, compression } = this.#superblock;
    const length = size & (STORED_DATA - 1);
    if (length === 0 || length > blockSize || at + length > this.#pages.size) {
      throw damaged(what, `a block of ${length} bytes at ${at}`);
    }
    const block = await this.#cache.get(
      at,
      async (asked): Promise<Block> => {
        const read = contiguous(await this.#pages.read(BigInt(at), length, asked));
        const stored = (size & STORED_DATA) !== 0;
        const bytes = stored
          ? Buffer.from(read)
          : await decompress(what, compression, read, blockSize);
        return { byteLength: bytes.length, bytes, next: 0 };
      },
      options,
    );
    return block.bytes;
  }
}
