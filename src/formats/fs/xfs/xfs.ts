import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, LONGEST_LINK, MOST_ENTRIES, unsupported, wrongType } from '../damaged.ts';
import { fileDevice, type Run } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node, Usage } from '../file-system.ts';
import { nameOf } from '../names.ts';
import { Pages } from '../pages.ts';
import { AttributeBlocks, shortAttributes } from './attributes.ts';
import { NAMES_END, type Named, namesIn, shortNames } from './directory.ts';
import { findExtent } from './extents.ts';
import { type Fork, type Inode, readInode } from './inode.ts';
import { hasWork } from './log.ts';
import {
  checksumOf,
  isSuperblock,
  placeOf,
  readSuperblock,
  SUPERBLOCK,
  type Superblock,
  sectorSizeOf,
} from './superblock.ts';

/**
 * XFS of versions 4 and 5. A log with changes that are not yet in their places is told of, as these
 * are not seen.
 */
export const xfs: FileSystemFormat = {
  name: 'XFS',
  matches: isSuperblock,
  async open(device, options) {
    const pages = new Pages(device);
    const what = 'xfs: superblock';
    const start = await pages.structure(what, 0, SUPERBLOCK, options);
    const sector = await pages.structure(what, 0, sectorSizeOf(start), options);
    return new Volume(pages, readSuperblock(sector)).fileSystem(options);
  },
};

/** Blocks of attributes have numbers of 32 bits. */
const ATTRIBUTES_END = (1n << 32n) << 16n;
/** The header of a block of a symbolic link. */
const LINK_HEADER = 56;
/** What the kernel keeps of each group so that it can always free something. */
const SET_ASIDE = 8;

class Volume {
  readonly #pages: Pages;
  readonly #superblock: Superblock;

  constructor(pages: Pages, superblock: Superblock) {
    this.#pages = pages;
    this.#superblock = superblock;
  }

  async fileSystem(options?: RequestOptions): Promise<FileSystem> {
    const { label, uuid, rootInode } = this.#superblock;
    return {
      type: 'xfs',
      label,
      uuid,
      warnings: await this.#warnings(options),
      root: await this.#node(rootInode, options),
      usage: async () => usageOf(this.#superblock),
    };
  }

  async #warnings(options?: RequestOptions): Promise<string[]> {
    if (this.#superblock.logStart === 0n)
      return ['xfs: the log is on another disk and was not looked at'];
    const work = await hasWork(this.#pages, this.#superblock, options);
    return work ? ['xfs: the log has changes that are not seen, as it is not replayed here'] : [];
  }

  async #node(number: bigint, options?: RequestOptions): Promise<Node> {
    const inode = await readInode(this.#pages, this.#superblock, number, options);
    return {
      id: String(number),
      stat: inode.stat,
      list: asked => this.#list(inode, asked),
      readlink: asked => this.#readlink(inode, asked),
      open: async () => {
        if (inode.stat.type !== 'file') throw wrongType('regular file');
        return this.#content(inode, inode.stat.size);
      },
      attributes: asked => this.#attributes(inode, asked),
    };
  }

  #content(inode: Inode, size: bigint): BlockDevice {
    const what = `xfs: inode ${inode.number}`;
    if (inode.realtime) throw unsupported(what, 'a file of a realtime device');
    return this.#contentOf(inode, what, size);
  }

  #contentOf(fork: Fork, what: string, size: bigint): BlockDevice {
    const superblock = this.#superblock;
    const unit = BigInt(superblock.blockSize);
    return fileDevice(size, async (offset, options): Promise<Run> => {
      const found = await findExtent(this.#pages, superblock, fork, offset / unit, options);
      const start = found.first * unit;
      const end = (found.first + found.count) * unit;
      if (found.at === undefined || found.unwritten)
        return { start, end, allocated: found.at !== undefined };
      const at = placeOf(superblock, found.at, what, Number(found.count));
      return { start, end, from: this.#pages, at: BigInt(at) };
    });
  }

  async #attributes(
    { number, attributes }: Inode,
    options?: RequestOptions,
  ): Promise<ReadonlyMap<string, Buffer>> {
    if (!attributes) return new Map();
    const what = `xfs: extended attributes of inode ${number}`;
    if (attributes.format === 'local') return shortAttributes(attributes.fork, what);
    if (attributes.format === 'extents' && attributes.extents === 0) return new Map();
    const content = this.#contentOf(attributes, what, ATTRIBUTES_END);
    return new AttributeBlocks(content, this.#superblock, number, what).all(options);
  }

  async #list(inode: Inode, options?: RequestOptions): Promise<Entry[]> {
    if (inode.stat.type !== 'directory') throw wrongType('directory');
    const entry = ({ name, inode: number }: Named): Entry => ({
      name,
      node: asked => this.#node(number, asked),
    });
    return (await this.#names(inode, options)).map(entry);
  }

  async #names(inode: Inode, options?: RequestOptions): Promise<Named[]> {
    const what = `xfs: directory ${inode.number}`;
    const superblock = this.#superblock;
    if (inode.format === 'local') return shortNames(inode.fork, what, superblock.fileTypes);
    const { directoryBlockSize: length } = superblock;
    const content = this.#content(inode, NAMES_END);
    const found: Named[] = [];
    for (let at = 0n; at < NAMES_END; ) {
      const [run] = await content.extents!(at, Number(NAMES_END - at), { one: true });
      if (run!.zero) {
        at += BigInt(run!.length);
        continue;
      }
      const block = contiguous(await content.read(at, length, options));
      found.push(...namesIn(Buffer.from(block.buffer, block.byteOffset, length), what, superblock));
      if (found.length > MOST_ENTRIES) throw damaged(what, 'it has too many entries');
      at += BigInt(length);
    }
    return found;
  }

  async #readlink(inode: Inode, options?: RequestOptions): Promise<string> {
    const { stat, fork, format, number } = inode;
    const what = `xfs: symbolic link ${number}`;
    if (stat.type !== 'symlink') throw wrongType('symbolic link');
    const size = Number(stat.size);
    if (size > LONGEST_LINK) throw damaged(what, `it has ${size} bytes`);
    if (format === 'local') {
      if (size > fork.length) throw damaged(what, 'it is longer than its inode');
      return nameOf(fork.subarray(0, size));
    }
    return nameOf((await this.#remoteLink(inode, what, size, options)).subarray(0, size));
  }

  /** In version 5 each block has a header. */
  async #remoteLink(
    inode: Inode,
    what: string,
    size: number,
    options?: RequestOptions,
  ): Promise<Buffer> {
    const { checksums, blockSize } = this.#superblock;
    const header = checksums ? LINK_HEADER : 0;
    const blocks = Math.ceil(size / (blockSize - header));
    const content = this.#content(inode, BigInt(blocks * blockSize));
    const parts: Buffer[] = [];
    for (let block = 0; block < blocks; block++) {
      const read = contiguous(await content.read(BigInt(block * blockSize), blockSize, options));
      const bytes = Buffer.from(read.buffer, read.byteOffset, read.length);
      if (checksums && bytes.toString('latin1', 0, 4) !== 'XSLM')
        throw damaged(what, 'its magic number is missing');
      if (checksums && checksumOf(bytes, 12) !== bytes.readUInt32LE(12))
        throw damaged(what, 'its checksum is wrong');
      parts.push(bytes.subarray(header));
    }
    return Buffer.concat(parts);
  }
}

/** As the kernel counts when it is mounted read-only. */
function usageOf({
  bytes,
  blockSize,
  blocks,
  logBlocks,
  logStart,
  groups,
  inodeBits,
}: Superblock): Usage {
  const counted = (at: number) => bytes.readBigUInt64BE(at);
  const log = logStart === 0n ? 0n : BigInt(logBlocks);
  const aside = BigInt(groups * SET_ASIDE);
  const left = counted(144) - aside;
  const free = left > 0n ? left : 0n;
  const [inodes, free0] = [counted(128), counted(136)];
  const possible = inodes + (free << BigInt(inodeBits));
  const most = ((BigInt(blocks) * BigInt(bytes[127]!)) / 100n) << BigInt(inodeBits);
  const files = most > 0n && possible > most ? most : possible;
  const used = inodes - free0;
  return {
    blockSize,
    blocks: BigInt(blocks) - log,
    free,
    available: free,
    files,
    filesFree: files > used ? files - used : 0n,
  };
}
