import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, LONGEST_LINK, MOST_ENTRIES, wrongType } from '../damaged.ts';
import { fileDevice, type Run } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node, Stat, Subvolume } from '../file-system.ts';
import { nameOf } from '../names.ts';
import { Pages } from '../pages.ts';
import { Chunks } from './chunks.ts';
import { Extents } from './extents.ts';
import { statOf } from './inode.ts';
import { subvolumePaths } from './subvolumes.ts';
import { SummedData } from './sums.ts';
import { isSuperblock, readSuperblock, SUPERBLOCK, type Superblock } from './superblock.ts';
import { type Root, Trees } from './tree.ts';
import { readUsage } from './usage.ts';

/**
 * btrfs on one device, with its subvolumes and compressions. A log of what was written last before a
 * crash is told of, as it is not replayed.
 */
export const btrfs: FileSystemFormat = {
  name: 'btrfs',
  matches: start =>
    isSuperblock(start.subarray(SUPERBLOCK.offset, SUPERBLOCK.offset + SUPERBLOCK.length)),
  async open(device, options) {
    const volume = await Volume.open(device, options);
    return volume.fileSystem(await volume.defaultTree(options), options);
  },
};

export const TYPE = {
  inode: 1,
  inodeRef: 12,
  attribute: 24,
  dirItem: 84,
  dirIndex: 96,
  extent: 108,
  root: 132,
  rootBackref: 144,
  blockGroup: 192,
  chunk: 228,
} as const;
export const OBJECT = {
  extentTree: 2n,
  topTree: 5n,
  treeDirectory: 6n,
  sumTree: 7n,
  blockGroupTree: 11n,
  first: 256n,
} as const;
const KEY = 17;
const LAST_CHUNK = 256n;

/** An entry of a directory, or an extended attribute: they are of one form. */
interface Named {
  readonly name: Buffer;
  readonly value: Buffer;
  readonly object: bigint;
  readonly type: number;
}

export class Volume {
  readonly superblock: Superblock;
  readonly trees: Trees;
  readonly #chunks: Chunks;
  readonly #extents: Extents;

  private constructor(pages: Pages, superblock: Superblock, chunks: Chunks) {
    this.superblock = superblock;
    this.#chunks = chunks;
    this.trees = new Trees(pages, superblock, chunks);
    const parts = { pages, chunks, trees: this.trees };
    const data = new SummedData(parts, superblock, () => this.findTree(OBJECT.sumTree));
    this.#extents = new Extents(data, chunks, superblock.sectorSize);
  }

  static async open(device: BlockDevice, options?: RequestOptions): Promise<Volume> {
    const pages = new Pages(device);
    const { offset, length } = SUPERBLOCK;
    const superblock = readSuperblock(
      await pages.structure('btrfs: superblock', offset, length, options),
    );
    const chunks = new Chunks();
    const { systemChunks } = superblock;
    for (let at = 0; at + KEY < systemChunks.length; ) {
      const start = systemChunks.readBigUInt64LE(at + 9);
      at += KEY;
      at += chunks.add(start, systemChunks.subarray(at), superblock.device);
    }
    const volume = new Volume(pages, superblock, chunks);
    await volume.#readChunks(options);
    return volume;
  }

  async #readChunks(options?: RequestOptions): Promise<void> {
    const { chunkRoot: address, chunkRootLevel: level, device } = this.superblock;
    const from = { object: LAST_CHUNK, type: TYPE.chunk, offset: 0n };
    for await (const { key, data } of this.trees.items({ address, level }, from, options)) {
      this.#chunks.add(key.offset, data, device);
    }
  }

  get rootTree(): Root {
    const { root: address, rootLevel: level } = this.superblock;
    return { address, level };
  }

  /** @throws BlockError EIO there is none. */
  async tree(number: bigint, options?: RequestOptions): Promise<Root> {
    const found = await this.findTree(number, options);
    if (!found) throw damaged('btrfs: root tree', `tree ${number} is missing`);
    return found;
  }

  async findTree(number: bigint, options?: RequestOptions): Promise<Root | undefined> {
    const from = { object: number, type: TYPE.root, offset: 0n };
    for await (const { data } of this.trees.items(this.rootTree, from, options)) {
      if (data.length < 239) throw damaged('btrfs: root item', 'it is cut short');
      return { address: data.readBigUInt64LE(176), level: data[238]! };
    }
    return undefined;
  }

  /** The number of the subvolume that is mounted when none is named. */
  async defaultTree(options?: RequestOptions): Promise<bigint> {
    const from = { object: OBJECT.treeDirectory, type: TYPE.dirItem, offset: 0n };
    for await (const { data } of this.trees.items(this.rootTree, from, options)) {
      const found = namedIn(data).find(({ name }) => name.toString() === 'default');
      if (found) return found.object;
    }
    return OBJECT.topTree;
  }

  async fileSystem(number: bigint, options?: RequestOptions): Promise<FileSystem> {
    const { label, uuid, logRoot } = this.superblock;
    const log = 'btrfs: the log has changes that are not seen, as it is not replayed here';
    return {
      type: 'btrfs',
      label,
      uuid,
      warnings: logRoot === 0n ? [] : [log],
      root: await this.#node(number, await this.tree(number, options), OBJECT.first, options),
      usage: asked => readUsage(this, this.#chunks, asked),
      subvolumes: asked => this.#subvolumes(asked),
    };
  }

  async #subvolumes(options?: RequestOptions): Promise<Subvolume[]> {
    const found: Subvolume[] = [];
    for (const [number, path] of await subvolumePaths(this, options)) {
      found.push({ path, fileSystem: await this.fileSystem(number, options) });
    }
    return found;
  }

  async #node(tree: bigint, root: Root, number: bigint, options?: RequestOptions): Promise<Node> {
    const key = { object: number, type: TYPE.inode, offset: 0n };
    const item = await this.trees.exact(root, key, options);
    if (!item) throw damaged(`btrfs: inode ${number}`, 'it is missing');
    const stat = statOf(number, item.data, BigInt(this.superblock.sectorSize));
    return {
      id: `${tree} ${number}`,
      stat,
      list: asked => this.#list(tree, root, stat, asked),
      readlink: asked => this.#readlink(root, stat, asked),
      open: async () => {
        if (stat.type !== 'file') throw wrongType('regular file');
        return this.#content(root, stat);
      },
      attributes: asked => this.#attributes(root, number, asked),
    };
  }

  async #list(
    tree: bigint,
    root: Root,
    { type, inode }: Stat,
    options?: RequestOptions,
  ): Promise<Entry[]> {
    if (type !== 'directory') throw wrongType('directory');
    const entries: Entry[] = [];
    const from = { object: inode, type: TYPE.dirIndex, offset: 0n };
    for await (const { data } of this.trees.items(root, from, options)) {
      for (const { name, object, type: kind } of namedIn(data)) {
        const node = async (asked?: RequestOptions) =>
          kind === TYPE.root
            ? this.#node(object, await this.tree(object, asked), OBJECT.first, asked)
            : this.#node(tree, root, object, asked);
        entries.push({ name: nameOf(name), node });
      }
      if (entries.length > MOST_ENTRIES)
        throw damaged(`btrfs: directory ${inode}`, 'it has too many entries');
    }
    return entries;
  }

  #content(root: Root, { inode, size }: Stat): BlockDevice {
    const what = `btrfs: inode ${inode}`;
    return fileDevice(size, async (offset, options): Promise<Run> => {
      const key = { object: inode, type: TYPE.extent, offset };
      const item = await this.trees.atMost(root, key, options);
      const run = item && this.#extents.run(what, item.key.offset, item.data);
      if (run && offset < run.end) return run;
      // Nothing is said of it: it is a hole, up to the next extent.
      for await (const next of this.trees.items(root, { ...key, offset: offset + 1n }, options)) {
        return { start: offset, end: next.key.offset };
      }
      return { start: offset, end: size };
    });
  }

  async #readlink(root: Root, stat: Stat, options?: RequestOptions): Promise<string> {
    if (stat.type !== 'symlink') throw wrongType('symbolic link');
    const size = Number(stat.size);
    if (size > LONGEST_LINK)
      throw damaged(`btrfs: symbolic link ${stat.inode}`, `it has ${size} bytes`);
    if (size === 0) return '';
    return nameOf(Buffer.from(contiguous(await this.#content(root, stat).read(0n, size, options))));
  }

  async #attributes(root: Root, number: bigint, options?: RequestOptions) {
    const found = new Map<string, Buffer>();
    const from = { object: number, type: TYPE.attribute, offset: 0n };
    for await (const { data } of this.trees.items(root, from, options)) {
      for (const { name, value } of namedIn(data)) found.set(nameOf(name), value);
    }
    return found;
  }
}

/** Names in an item: where they lead, and what else is kept with them. @throws BlockError EIO */
function namedIn(data: Buffer): Named[] {
  const HEAD = 30;
  const found: Named[] = [];
  for (let at = 0; at < data.length; ) {
    if (at + HEAD > data.length) throw damaged('btrfs: directory item', 'it is cut short');
    const nameEnd = at + HEAD + data.readUInt16LE(at + 27);
    const end = nameEnd + data.readUInt16LE(at + 25);
    if (end > data.length) throw damaged('btrfs: directory item', 'it is cut short');
    found.push({
      name: data.subarray(at + HEAD, nameEnd),
      value: data.subarray(nameEnd, end),
      object: data.readBigUInt64LE(at),
      type: data[at + 8]!,
    });
    at = end;
  }
  return found;
}
