import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, MOST_ENTRIES, unsupported, wrongType } from '../damaged.ts';
import { bytesDevice, fileDevice, inRuns, type Run } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node, Stat } from '../file-system.ts';
import { Pages } from '../pages.ts';
import { type Descriptor, isDescriptor, readDescriptors, SECTOR } from './descriptor.ts';
import { type Extent, jolietName, plainName, type Record, recordAt } from './record.ts';
import { type RockRidge, readRockRidge, skippedBy } from './rock-ridge.ts';

/**
 * ISO 9660 (ECMA-119) with the names of Rock Ridge or, where there are none, of Joliet.
 */
export const iso: FileSystemFormat = {
  name: 'ISO 9660',
  matches: isDescriptor,
  async open(device, options) {
    const pages = new Pages(device);
    const descriptors = await readDescriptors(pages, options);
    const primary = descriptors.find(({ joliet }) => !joliet)!;
    const skip = await rockRidgeSkip(pages, primary, options);
    const joliet = descriptors.find(descriptor => descriptor.joliet);
    const chosen = skip === undefined ? (joliet ?? primary) : primary;
    return new Volume(pages, chosen, skip).fileSystem(primary, options);
  },
};

/** Rock Ridge begins in the record by which the root directory names itself. */
async function rockRidgeSkip(
  pages: Pages,
  { root, blockSize }: Descriptor,
  options?: RequestOptions,
): Promise<number | undefined> {
  const { extent } = recordAt(root, 0, 0, false);
  const place = extent.block * blockSize;
  const bytes = await pages.structure('iso: root directory', place, SECTOR, options);
  return skippedBy(recordAt(bytes, 0, place, false).systemUse);
}

/** A file: its records, and what Rock Ridge says of it. */
interface Found {
  readonly name: string;
  readonly record: Record;
  readonly extents: readonly Extent[];
  readonly rock: RockRidge | undefined;
}

const LONGEST_DIRECTORY = 256 << 20;
const READ_ONLY = 0o555;

class Volume {
  readonly #pages: Pages;
  readonly #descriptor: Descriptor;
  readonly #skip: number | undefined;

  constructor(pages: Pages, descriptor: Descriptor, skip: number | undefined) {
    this.#pages = pages;
    this.#descriptor = descriptor;
    this.#skip = skip;
  }

  async fileSystem(
    { label, uuid, blocks }: Descriptor,
    options?: RequestOptions,
  ): Promise<FileSystem> {
    const { root, blockSize } = this.#descriptor;
    const record = recordAt(root, 0, 0, false);
    const self = (await this.#records(record.extent, options)).find(({ name }) => name === '\0');
    const found = await this.#found(self ?? record, [record.extent], options);
    return {
      type: 'iso9660',
      label,
      uuid,
      warnings: [],
      root: this.#node(found),
      usage: async () => ({
        blockSize,
        blocks: BigInt(blocks),
        free: 0n,
        available: 0n,
        files: 0n,
        filesFree: 0n,
      }),
    };
  }

  async #found(
    record: Record,
    extents: readonly Extent[],
    options?: RequestOptions,
  ): Promise<Found> {
    const skip = this.#skip;
    const area =
      skip === undefined ? undefined : record.systemUse.subarray(record.name === '\0' ? 0 : skip);
    const rock =
      area && (await readRockRidge(this.#pages, area, this.#descriptor.blockSize, options));
    const plain = this.#descriptor.joliet ? jolietName(record.name) : plainName(record.name);
    return { name: rock?.name ?? plain, record, extents, rock };
  }

  #node(found: Found): Node {
    const { record, rock, extents } = found;
    const stat = this.#stat(found);
    const what = `iso: '${found.name}'`;
    return {
      id: stat.type === 'directory' ? `directory ${record.extent.block}` : idOf(stat, record),
      stat,
      list: async options => {
        if (stat.type !== 'directory') throw wrongType('directory');
        return this.#list(record.extent, options);
      },
      readlink: async () => {
        if (rock?.link === undefined) throw wrongType('symbolic link');
        return rock.link;
      },
      open: async () => {
        if (stat.type !== 'file') throw wrongType('regular file');
        if (rock?.compressed) throw unsupported(what, 'compression (zisofs)');
        if (rock?.sparse) throw unsupported(what, 'a sparse file of Rock Ridge');
        return this.#content(what, extents, stat.size);
      },
    };
  }

  #stat({ record, extents, rock }: Found): Stat {
    const size = BigInt(extents.reduce((sum, { length }) => sum + length, 0));
    const { time, directory, place } = record;
    const type = rock?.stat?.type ?? (directory ? 'directory' : 'file');
    const link = type === 'symlink' ? rock?.link : undefined;
    return {
      type,
      mode: READ_ONLY,
      links: 1,
      uid: 0,
      gid: 0,
      atime: time,
      mtime: time,
      ctime: time,
      inode: BigInt(place),
      ...rock?.stat,
      size: link === undefined ? size : BigInt(Buffer.byteLength(link)),
      blocks: (size + 511n) / 512n,
    };
  }

  #content(what: string, extents: readonly Extent[], size: bigint): BlockDevice {
    if (size === 0n) return bytesDevice(Buffer.alloc(0));
    const runs: Run[] = [];
    for (const { block, length } of extents) {
      const start = runs.at(-1)?.end ?? 0n;
      const at = block * this.#descriptor.blockSize;
      if (at + length > this.#pages.size) throw damaged(what, 'its content is outside of the disk');
      if (length > 0)
        runs.push({ start, end: start + BigInt(length), at: BigInt(at), from: this.#pages });
    }
    if ((runs.at(-1)?.end ?? 0n) < size) throw damaged(what, 'its parts are shorter than it');
    return fileDevice(size, inRuns(runs));
  }

  async #list(extent: Extent, options?: RequestOptions): Promise<Entry[]> {
    const entries: Entry[] = [];
    let extents: Extent[] = [];
    for (const record of await this.#records(extent, options)) {
      if (record.name === '\0' || record.name === '\u0001') continue;
      extents.push(record.extent);
      if (record.more) continue;
      const found = await this.#found(record, extents, options);
      extents = [];
      if (found.rock?.relocated) continue;
      entries.push({
        name: found.name,
        node: async asked => this.#node(await this.#moved(found, asked)),
      });
    }
    return entries;
  }

  /** What stands for a directory that is elsewhere is that directory. */
  async #moved(found: Found, options?: RequestOptions): Promise<Found> {
    const block = found.rock?.child;
    if (block === undefined) return found;
    const { blockSize } = this.#descriptor;
    const place = block * blockSize;
    const what = 'iso: relocated directory';
    const bytes = await this.#pages.structure(what, place, SECTOR, options);
    const self = recordAt(bytes, 0, place, false);
    if (!self.directory) throw damaged(what, 'it is none');
    return { ...(await this.#found(self, [self.extent], options)), name: found.name };
  }

  /** No record crosses from one sector to the next. */
  async #records({ block, length }: Extent, options?: RequestOptions): Promise<Record[]> {
    const what = 'iso: directory';
    if (length > LONGEST_DIRECTORY) throw damaged(what, `it has ${length} bytes`);
    const place = block * this.#descriptor.blockSize;
    const found: Record[] = [];
    for (let at = 0; at < length; at += SECTOR) {
      const part = Math.min(SECTOR, length - at);
      const sector = await this.#pages.structure(what, place + at, part, options);
      for (let inside = 0; inside < part && sector[inside] !== 0; inside += sector[inside]!) {
        found.push(recordAt(sector, inside, place + at + inside, this.#descriptor.joliet));
        if (found.length > MOST_ENTRIES) throw damaged(what, 'it has too many entries');
      }
    }
    return found;
  }
}

/** Names of one file have one number, if there are numbers. */
function idOf({ links, inode }: Stat, { place }: Record): string {
  return links > 1 ? `inode ${inode}` : `record ${place}`;
}
