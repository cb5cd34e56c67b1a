import { andThen } from '../../../block/answer.ts';
import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, LONGEST_LINK, unsupported, wrongType } from '../damaged.ts';
import { bytesDevice } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node } from '../file-system.ts';
import { nameOf } from '../names.ts';
import { Pages } from '../pages.ts';
import { uuidText } from '../uuid.ts';
import { readAttributes, shownValue } from './attributes.ts';
import { checkCount, type Named, namesIn } from './directory.ts';
import { Groups, readUsage } from './groups.ts';
import { type Inode, readInode } from './inode.ts';
import { readJournal } from './journal.ts';
import { mappedDevice } from './map.ts';
import { replayedDevice } from './replayed.ts';
import { isSuperblock, readSuperblock, SUPERBLOCK, type Superblock } from './superblock.ts';

const ROOT = 2;
/** Bytes; room for more names than are listed. */
const LONGEST_DIRECTORY = 1n << 31n;
/** Bytes of content in the map of an inode; the rest is an attribute. */
const INLINE = 60;
const INLINE_REST = 'system.data';
/** Parent of a directory that is in its inode. */
const INLINE_PARENT = 4;

/**
 * ext2, ext3 and ext4, as the kernel's documentation describes them. What a journal has that is not
 * yet in its place is read from the journal.
 */
export const ext: FileSystemFormat = {
  name: 'ext',
  matches: start =>
    isSuperblock(start.subarray(SUPERBLOCK.offset, SUPERBLOCK.offset + SUPERBLOCK.length)),
  open: openExt,
};

async function openExt(device: BlockDevice, options?: RequestOptions): Promise<FileSystem> {
  const before = await Volume.open(device, options);
  if (!before.superblock.needsRecovery) return before.fileSystem([], options);
  const { superblock } = before;
  const { journalInode, blockSize } = superblock;
  if (journalInode === 0) throw unsupported('ext', 'a journal that is needed and on another disk');
  const journal = await before.content(await before.inode(journalInode, options));
  const { blocks, incomplete } = await readJournal(journal, blockSize, options);
  const warnings = incomplete ? ['the journal has fast commits, which are not replayed'] : [];
  if (blocks.size === 0) return before.fileSystem(warnings, options);
  const replayed = replayedDevice(device, journal, blocks, blockSize);
  return (await Volume.open(replayed, options)).fileSystem(warnings, options);
}

class Volume {
  readonly superblock: Superblock;
  readonly #pages: Pages;
  readonly #groups: Groups;

  constructor(pages: Pages, superblock: Superblock) {
    this.#pages = pages;
    this.superblock = superblock;
    this.#groups = new Groups(pages, superblock);
  }

  static async open(device: BlockDevice, options?: RequestOptions): Promise<Volume> {
    const pages = new Pages(device);
    const { offset, length } = SUPERBLOCK;
    const bytes = await pages.structure('ext: superblock', offset, length, options);
    return new Volume(pages, readSuperblock(bytes));
  }

  async fileSystem(warnings: readonly string[], options?: RequestOptions): Promise<FileSystem> {
    const { type, label, uuid } = this.superblock;
    return {
      type,
      label,
      uuid: uuidText(uuid),
      warnings,
      root: this.#nodeOf(await this.inode(ROOT, options)),
      usage: asked => this.#usage(asked),
    };
  }

  inode(number: number, options?: RequestOptions): Inode | PromiseLike<Inode> {
    const [pages, superblock, groups] = [this.#pages, this.superblock, this.#groups];
    return readInode({ pages, superblock, groups }, number, options);
  }

  async content(inode: Inode, options?: RequestOptions): Promise<BlockDevice> {
    if (inode.encrypted) throw unsupported(`ext: inode ${inode.number}`, 'encryption');
    if (inode.inline) return bytesDevice(await this.#inlineContent(inode, options));
    return mappedDevice(this.#pages, this.superblock, inode);
  }

  async #usage(options?: RequestOptions) {
    const { journalInode, blockSize } = this.superblock;
    const journal = journalInode === 0 ? undefined : await this.inode(journalInode, options);
    const blocks = Math.ceil(Number(journal?.stat.size ?? 0n) / blockSize);
    return readUsage(this.#pages, this.superblock, blocks, options);
  }

  async #inlineContent(inode: Inode, options?: RequestOptions): Promise<Buffer> {
    const { map, stat, number } = inode;
    const size = Number(stat.size);
    const all = Buffer.concat([
      map,
      ...(size > INLINE ? [await this.#inlineRest(inode, options)] : []),
    ]);
    if (size > all.length)
      throw damaged(`ext: inode ${number}`, 'its content is shorter than it says');
    return all.subarray(0, size);
  }

  async #inlineRest(inode: Inode, options?: RequestOptions): Promise<Buffer> {
    const attributes = await readAttributes(this.#pages, this.superblock, inode, options);
    const found = attributes.find(({ name }) => name === INLINE_REST);
    return Buffer.isBuffer(found?.value) ? found.value : Buffer.alloc(0);
  }

  #nodeOf(inode: Inode): Node {
    return {
      id: String(inode.number),
      stat: inode.stat,
      list: options => this.#list(inode, options),
      readlink: options => this.#readlink(inode, options),
      open: async options => {
        if (inode.stat.type !== 'file') throw wrongType('regular file');
        return this.content(inode, options);
      },
      attributes: options => this.#attributes(inode, options),
    };
  }

  async #list(inode: Inode, options?: RequestOptions): Promise<Entry[]> {
    if (inode.stat.type !== 'directory') throw wrongType('directory');
    const entry = ({ name, inode: number }: Named): Entry => ({
      name,
      node: asked => andThen(this.inode(number, asked), inode => this.#nodeOf(inode)),
    });
    return (await this.#names(inode, options)).map(entry);
  }

  async #names(inode: Inode, options?: RequestOptions): Promise<Named[]> {
    const what = `ext: directory ${inode.number}`;
    if (inode.inline) {
      const rest = await this.#inlineRest(inode, options);
      const parts = [inode.map.subarray(INLINE_PARENT), rest];
      return parts.flatMap(part => namesIn(part, what, undefined));
    }
    const { blockSize } = this.superblock;
    if (inode.stat.size > LONGEST_DIRECTORY) throw damaged(what, `it has ${inode.stat.size} bytes`);
    const content = await this.content(inode, options);
    const found: Named[] = [];
    for (let at = 0n; at < content.size; at += BigInt(blockSize)) {
      const [run] = await content.extents!(at, Number(content.size - at), { one: true });
      // A hole of any length is no names.
      if (run!.zero) {
        at += BigInt(run!.length - blockSize);
        continue;
      }
      const length = Math.min(blockSize, Number(content.size - at));
      const block = contiguous(await content.read(at, length, options));
      found.push(...namesIn(Buffer.from(block.buffer, block.byteOffset, length), what, inode.seed));
      checkCount(found.length, what);
    }
    return found;
  }

  async #readlink(inode: Inode, options?: RequestOptions): Promise<string> {
    const { stat, map, number } = inode;
    if (stat.type !== 'symlink') throw wrongType('symbolic link');
    const size = Number(stat.size);
    if (size > LONGEST_LINK) throw damaged(`ext: symbolic link ${number}`, `it has ${size} bytes`);
    if (!inode.inline && this.#isFast(inode)) return nameOf(map.subarray(0, size));
    const content = await this.content(inode, options);
    if (size === 0) return '';
    return nameOf(Buffer.from(contiguous(await content.read(0n, size, options))));
  }

  /** A short target stands where the map would be. */
  #isFast({ stat, attributeBlock, encrypted }: Inode): boolean {
    const { clusterBlocks, blockSize } = this.superblock;
    const attributes = attributeBlock === 0 ? 0n : BigInt((clusterBlocks * blockSize) / 512);
    return !encrypted && stat.blocks <= attributes && stat.size < INLINE;
  }

  async #attributes(inode: Inode, options?: RequestOptions): Promise<ReadonlyMap<string, Buffer>> {
    const found = new Map<string, Buffer>();
    const all = await readAttributes(this.#pages, this.superblock, inode, options);
    for (const { name, value } of all) {
      if (name === INLINE_REST) continue;
      const bytes = Buffer.isBuffer(value) ? value : await this.#largeValue(value, options);
      found.set(name, shownValue(name, bytes, `ext: extended attributes of inode ${inode.number}`));
    }
    return found;
  }

  async #largeValue(
    { inode: number, size }: { inode: number; size: number },
    options?: RequestOptions,
  ): Promise<Buffer> {
    const content = await this.content(await this.inode(number, options), options);
    if (size > LONGEST_LINK || BigInt(size) > content.size) {
      throw damaged(`ext: inode ${number}`, `an extended attribute of ${size} bytes`);
    }
    return size === 0
      ? Buffer.alloc(0)
      : Buffer.from(contiguous(await content.read(0n, size, options)));
  }
}
