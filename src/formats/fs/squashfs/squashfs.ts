import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, MOST_ENTRIES, wrongType } from '../damaged.ts';
import { bytesDevice, fileDevice, type Readable, type Run } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node } from '../file-system.ts';
import { nameOf } from '../names.ts';
import { Pages } from '../pages.ts';
import { Blocks } from './blocks.ts';
import { type Content, type Inode, readInode } from './inode.ts';
import { isSquashfs, readSuperblock, SUPERBLOCK, type Superblock } from './superblock.ts';

/** squashfs 4, of any of its compressions. */
export const squashfs: FileSystemFormat = {
  name: 'squashfs',
  matches: isSquashfs,
  async open(device, options) {
    const pages = new Pages(device);
    const bytes = await pages.structure('squashfs: superblock', 0, SUPERBLOCK, options);
    const superblock = readSuperblock(bytes, pages.size);
    return new Volume(pages, superblock).fileSystem(options);
  },
};

const HEADER = 12;
const ENTRY = 8;
const MOST_IN_HEADER = 256;

class Volume {
  readonly #pages: Pages;
  readonly #superblock: Superblock;
  readonly #blocks: Blocks;
  #ids: readonly number[] = [];

  constructor(pages: Pages, superblock: Superblock) {
    this.#pages = pages;
    this.#superblock = superblock;
    this.#blocks = new Blocks(pages, superblock);
  }

  async fileSystem(options?: RequestOptions): Promise<FileSystem> {
    const { size, blockSize, inodes, root, ids, idTable } = this.#superblock;
    const table = await this.#table('squashfs: table of owners', idTable, 0, 4 * ids, options);
    this.#ids = Array.from({ length: ids }, (_, index) => table.readUInt32LE(4 * index));
    const blocks = BigInt(Math.ceil(size / blockSize));
    const full = { free: 0n, available: 0n, files: BigInt(inodes), filesFree: 0n };
    return {
      type: 'squashfs',
      label: '',
      uuid: undefined,
      warnings: [],
      root: await this.#node(root, options),
      usage: async () => ({ blockSize, blocks, ...full }),
    };
  }

  /** Bytes of a table whose blocks of metadata are found through a list of their places. */
  async #table(
    what: string,
    list: number,
    offset: number,
    length: number,
    options?: RequestOptions,
  ): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    const pointer = await this.#pages.structure(
      what,
      list + 8 * Math.floor(offset / 8192),
      8,
      options,
    );
    const place = Number(pointer.readBigUInt64LE(0));
    return this.#blocks.metadata(what, place, offset % 8192, length, options);
  }

  async #node(reference: bigint, options?: RequestOptions): Promise<Node> {
    const inode = await readInode(this.#blocks, this.#superblock, reference, this.#ids, options);
    const { stat, link, content } = inode;
    return {
      id: String(reference),
      stat,
      list: asked => this.#list(inode, asked),
      readlink: async () => {
        if (link === undefined) throw wrongType('symbolic link');
        return link;
      },
      open: async () => {
        if (!content) throw wrongType('regular file');
        return this.#content(content, stat.size);
      },
    };
  }

  async #list({ listing }: Inode, options?: RequestOptions): Promise<Entry[]> {
    if (!listing) throw wrongType('directory');
    const what = 'squashfs: directory';
    if (listing.length > MOST_ENTRIES * ENTRY)
      throw damaged(what, `it has ${listing.length} bytes`);
    const place = this.#superblock.directoryTable + listing.block;
    const bytes = await this.#blocks.metadata(what, place, listing.offset, listing.length, options);
    const entries: Entry[] = [];
    for (let at = 0; at + HEADER <= bytes.length; ) {
      const count = bytes.readUInt32LE(at) + 1;
      const block = BigInt(bytes.readUInt32LE(at + 4));
      if (count > MOST_IN_HEADER) throw damaged(what, `${count} entries have one header`);
      at += HEADER;
      for (let index = 0; index < count; index++) {
        const length = at + ENTRY <= bytes.length ? bytes.readUInt16LE(at + 6) + 1 : Number.NaN;
        const end = at + ENTRY + length;
        if (!(end <= bytes.length)) throw damaged(what, 'it is cut short');
        const reference = (block << 16n) | BigInt(bytes.readUInt16LE(at));
        const name = nameOf(bytes.subarray(at + ENTRY, end));
        entries.push({ name, node: asked => this.#node(reference, asked) });
        at = end;
      }
    }
    return entries;
  }

  #content({ start, sizes, fragment }: Content, size: bigint): BlockDevice {
    if (size === 0n) return bytesDevice(Buffer.alloc(0));
    const unit = this.#superblock.blockSize;
    const places = new Float64Array(sizes.length);
    let place = start;
    for (const [index, said] of sizes.entries()) {
      places[index] = place;
      place += said & 0xffffff;
    }
    return fileDevice(size, (offset): Run => {
      const index = Math.floor(Number(offset) / unit);
      const from = BigInt(index * unit);
      const end = from + BigInt(unit) < size ? from + BigInt(unit) : size;
      const run = { start: from, end };
      const length = Number(end - from);
      if (index >= sizes.length) {
        return { ...run, at: 0n, from: this.#fragment(fragment!, length) };
      }
      if (sizes[index] === 0) return run;
      const what = 'squashfs: data';
      const block = (options?: RequestOptions) =>
        this.#blocks.data(what, places[index]!, sizes[index]!, options);
      return { ...run, at: 0n, from: partOf(block, 0, length, what) };
    });
  }

  #fragment({ index, offset }: NonNullable<Content['fragment']>, length: number): Readable {
    const what = 'squashfs: fragment';
    const { fragments, fragmentTable } = this.#superblock;
    if (index >= fragments) throw damaged(what, `there is none of number ${index}`);
    const block = async (options?: RequestOptions) => {
      const entry = await this.#table(what, fragmentTable, 16 * index, 16, options);
      const place = Number(entry.readBigUInt64LE(0));
      return this.#blocks.data(what, place, entry.readUInt32LE(8), options);
    };
    return partOf(block, offset, length, what);
  }
}

/** A part of a block that has to be that long. */
function partOf(
  block: (options?: RequestOptions) => Promise<Buffer>,
  offset: number,
  length: number,
  what: string,
): Readable {
  return {
    async read(at, wanted, options) {
      const bytes = await block(options);
      if (offset + length > bytes.length)
        throw damaged(what, 'a block is shorter than the file needs');
      const from = offset + Number(at);
      return bytes.subarray(from, from + wanted);
    },
  };
}
