import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, MOST_ENTRIES, wrongType } from '../damaged.ts';
import { bytesDevice, fileDevice, inRuns, type Run } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node, Stat, Usage } from '../file-system.ts';
import { Pages } from '../pages.ts';
import { isBootSector, type Layout, labelIn, readLayout } from './boot.ts';
import { LongName, shortName } from './names.ts';
import { Table } from './table.ts';

/** FAT12, FAT16 and FAT32 with long names, as Microsoft's specification and the kernel have them. */
export const fat: FileSystemFormat = {
  name: 'FAT',
  matches: isBootSector,
  async open(device, options) {
    const pages = new Pages(device);
    const sector = await pages.structure('fat: boot sector', 0, 512, options);
    return new Volume(pages, readLayout(sector, pages.size)).fileSystem(options);
  },
};

const ATTRIBUTE = { readOnly: 1, volume: 8, directory: 0x10, longName: 0x0f } as const;
const ENTRY = 32;
const FREE = 0xe5;
/** A directory is no longer by the specification. */
const LONGEST_DIRECTORY = 65536 * ENTRY;
const NO_COUNT = 0xffffffff;

/** An entry of a directory, with the name in front of it. */
interface Found {
  readonly name: string;
  readonly bytes: Buffer;
  /** Where on the device it is. */
  readonly place: bigint;
}

class Volume {
  readonly #pages: Pages;
  readonly #layout: Layout;
  readonly #table: Table;

  constructor(pages: Pages, layout: Layout) {
    this.#pages = pages;
    this.#layout = layout;
    this.#table = new Table(pages, layout);
  }

  async fileSystem(options?: RequestOptions): Promise<FileSystem> {
    const { uuid, rootCluster } = this.#layout;
    return {
      type: 'vfat',
      label: await this.#label(options),
      uuid,
      warnings: [],
      root: this.#directory(
        'fat: root directory',
        rootCluster,
        statOf(Buffer.alloc(ENTRY), 0n, true),
      ),
      usage: asked => this.#usage(asked),
    };
  }

  /** The label in the root directory is the one that is changed. */
  async #label(options?: RequestOptions): Promise<string> {
    const { rootCluster, label } = this.#layout;
    const entries = await this.#entries('fat: root directory', rootCluster, options);
    const found = entries.find(({ bytes }) => bytes[11]! & ATTRIBUTE.volume);
    return found ? labelIn(found.bytes.subarray(0, 11)) : label;
  }

  async #usage(options?: RequestOptions): Promise<Usage> {
    const { cluster, clusters, info } = this.#layout;
    const free = BigInt((await this.#noted(info, options)) ?? (await this.#table.free(options)));
    const files = { files: 0n, filesFree: 0n };
    return { blockSize: cluster, blocks: BigInt(clusters), free, available: free, ...files };
  }

  /** The number of free clusters, where it is noted. */
  async #noted(place: number, options?: RequestOptions): Promise<number | undefined> {
    if (place === 0) return undefined;
    const bytes = await this.#pages.structure('fat: information sector', place, 512, options);
    const count = bytes.readUInt32LE(488);
    const marked = bytes.readUInt32LE(0) === 0x41615252 && bytes.readUInt32LE(484) === 0x61417272;
    return marked && count !== NO_COUNT && count <= this.#layout.clusters ? count : undefined;
  }

  #directory(what: string, cluster: number, stat: Stat): Node {
    return {
      id: `directory ${cluster}`,
      stat,
      list: async options => {
        const entries = await this.#entries(what, cluster, options);
        const shown = entries.filter(({ name, bytes }) => !isHidden(name, bytes));
        return shown.map(found => this.#entry(found));
      },
      readlink: async () => {
        throw wrongType('symbolic link');
      },
      open: async () => {
        throw wrongType('regular file');
      },
    };
  }

  #entry({ name, bytes, place }: Found): Entry {
    const { bits } = this.#layout;
    const cluster = bytes.readUInt16LE(26) + (bits === 32 ? bytes.readUInt16LE(20) * 65536 : 0);
    const directory = (bytes[11]! & ATTRIBUTE.directory) !== 0;
    const stat = statOf(bytes, place / BigInt(ENTRY), directory, this.#layout.cluster);
    const what = `fat: '${name}'`;
    const node = directory
      ? this.#directory(what, cluster, stat)
      : this.#file(what, cluster, stat, place);
    return { name, node: async () => node };
  }

  #file(what: string, cluster: number, stat: Stat, place: bigint): Node {
    return {
      id: `file ${place}`,
      stat,
      list: async () => {
        throw wrongType('directory');
      },
      readlink: async () => {
        throw wrongType('symbolic link');
      },
      open: options => this.#open(what, cluster, stat.size, options),
    };
  }

  async #open(
    what: string,
    cluster: number,
    size: bigint,
    options?: RequestOptions,
  ): Promise<BlockDevice> {
    if (size === 0n) return bytesDevice(Buffer.alloc(0));
    const runs = await this.#table.chain(what, cluster, Number(size), options);
    if ((runs.at(-1)?.end ?? 0n) < size) throw damaged(what, 'its chain of clusters ends too soon');
    return fileDevice(size, inRuns(runs));
  }

  async #entries(what: string, cluster: number, options?: RequestOptions): Promise<Found[]> {
    const { root } = this.#layout;
    const fixed = {
      start: 0n,
      end: BigInt(root.length),
      at: BigInt(root.offset),
      from: this.#pages,
    };
    const runs: readonly Run[] =
      cluster === 0 ? [fixed] : await this.#table.chain(what, cluster, LONGEST_DIRECTORY, options);
    const found: Found[] = [];
    const long = new LongName();
    for (const { start, end, at } of runs) {
      const bytes = contiguous(await this.#pages.read(at!, Number(end - start), options));
      const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let index = 0; index < all.length; index += ENTRY) {
        const entry = all.subarray(index, index + ENTRY);
        if (entry[0] === 0) return found;
        if (entry[0] === FREE) long.forget();
        else if ((entry[11]! & 0x3f) === ATTRIBUTE.longName) long.add(entry);
        else
          found.push({
            name: long.take(entry) ?? shortName(entry),
            bytes: entry,
            place: at! + BigInt(index),
          });
        if (found.length > MOST_ENTRIES) throw damaged(what, 'it has too many entries');
      }
    }
    return found;
  }
}

function isHidden(name: string, bytes: Buffer): boolean {
  return (bytes[11]! & ATTRIBUTE.volume) !== 0 || name === '.' || name === '..';
}

/** Owners and permissions are what mount gives root: all but writing where it is forbidden. */
function statOf(bytes: Buffer, inode: bigint, directory: boolean, cluster = 1): Stat {
  const size = directory ? 0n : BigInt(bytes.readUInt32LE(28));
  const clusters = (size + BigInt(cluster) - 1n) / BigInt(cluster);
  return {
    type: directory ? 'directory' : 'file',
    mode: bytes[11]! & ATTRIBUTE.readOnly && !directory ? 0o555 : 0o755,
    links: 1,
    uid: 0,
    gid: 0,
    size,
    blocks: (clusters * BigInt(cluster)) / 512n,
    atime: timeOf(bytes.readUInt16LE(18), 0),
    mtime: timeOf(bytes.readUInt16LE(24), bytes.readUInt16LE(22)),
    ctime: timeOf(bytes.readUInt16LE(16), bytes.readUInt16LE(14), bytes[13]!),
    inode,
  };
}

/** Of no zone; UTC is taken, as the kernel does. @param hundredths of two seconds. */
function timeOf(date: number, time: number, hundredths = 0): bigint {
  if (date === 0) return 0n;
  const day = [1980 + (date >> 9), ((date >> 5) & 15) - 1, date & 31] as const;
  const clock = [time >> 11, (time >> 5) & 63, (time & 31) * 2] as const;
  return BigInt(Date.UTC(...day, ...clock) + hundredths * 10) * 1_000_000n;
}
