import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, LONGEST_LINK, unsupported, wrongType } from '../damaged.ts';
import { bytesDevice } from '../file-device.ts';
import type { Entry, FileSystem, FileSystemFormat, Node, Stat, Usage } from '../file-system.ts';
import { Pages } from '../pages.ts';
import { bitsSet } from './bitmap.ts';
import { type Boot, isBoot, readBoot } from './boot.ts';
import { namesIn } from './index.ts';
import { ATTRIBUTE, type Attribute, numberOf, parseRecord, type Record } from './record.ts';
import { interixLink, type Reparse, reparseOf } from './reparse.ts';
import { streamOf } from './stream.ts';

/** NTFS with sparse and compressed files, and links; the log is not replayed. */
export const ntfs: FileSystemFormat = {
  name: 'NTFS',
  matches: isBoot,
  async open(device, options) {
    const pages = new Pages(device);
    const sector = await pages.structure('ntfs: boot sector', 0, 512, options);
    const boot = readBoot(sector, pages.size);
    return (await Volume.open(pages, boot, options)).fileSystem(options);
  },
};

/** Records of files of the volume's own. */
const FILE = { table: 0, volume: 3, root: 5, bitmap: 6, firstOfUsers: 16 } as const;
const INDEX = '$I30';
const DIRTY = 1;
const SYSTEM = 4;
const MOST_LISTED = 4096;

/** A file: its record, and the attributes of all its records. */
interface Found {
  readonly record: Record;
  readonly attributes: readonly Attribute[];
}

class Volume {
  readonly #pages: Pages;
  readonly #boot: Boot;
  #table: BlockDevice | undefined;

  private constructor(pages: Pages, boot: Boot) {
    this.#pages = pages;
    this.#boot = boot;
  }

  /** The table is a file, too: its first record says where it is, perhaps with others that it has. */
  static async open(pages: Pages, boot: Boot, options?: RequestOptions): Promise<Volume> {
    const volume = new Volume(pages, boot);
    const bytes = await pages.structure('ntfs: record 0', boot.table, boot.record, options);
    const { attributes } = parseRecord(FILE.table, bytes);
    const own = attributes.filter(({ type, name }) => type === ATTRIBUTE.data && name === '');
    volume.#table = streamOf(pages, boot, own, 'ntfs: table of files');
    const whole = await volume.#find(FILE.table, undefined, options);
    volume.#table = volume.#stream(whole, ATTRIBUTE.data)!;
    return volume;
  }

  async fileSystem(options?: RequestOptions): Promise<FileSystem> {
    const { attributes } = await this.#find(FILE.volume, undefined, options);
    const value = (type: number) => attributes.find(attribute => attribute.type === type)?.value;
    const flags = value(ATTRIBUTE.volumeInformation)?.readUInt16LE(10) ?? 0;
    const warning = 'ntfs: it was not unmounted, and its log is not replayed here';
    return {
      type: 'ntfs',
      label: value(ATTRIBUTE.volumeName)?.toString('utf16le') ?? '',
      uuid: this.#boot.uuid,
      warnings: flags & DIRTY ? [warning] : [],
      root: await this.#node(FILE.root, undefined, options),
      usage: asked => this.#usage(asked),
    };
  }

  async #record(number: number, options?: RequestOptions): Promise<Record> {
    const { record: length } = this.#boot;
    const place = BigInt(number) * BigInt(length);
    const what = `ntfs: record ${number}`;
    if (place + BigInt(length) > this.#table!.size)
      throw damaged(what, 'it is past the end of the table');
    const bytes = contiguous(await this.#table!.read(place, length, options));
    return parseRecord(number, Buffer.from(bytes.buffer, bytes.byteOffset, length));
  }

  /** A file by its number. @param sequence how often the record was used; undefined: any. */
  async #find(number: number, sequence?: number, options?: RequestOptions): Promise<Found> {
    const record = await this.#record(number, options);
    const what = `ntfs: record ${number}`;
    if (!record.inUse) throw damaged(what, 'it is not in use');
    if (sequence !== undefined && sequence !== 0 && sequence !== record.sequence) {
      throw damaged(what, 'another file is in its place');
    }
    return { record, attributes: await this.#allAttributes(record, what, options) };
  }

  /** Those in the record and those in others that its list names. */
  async #allAttributes(
    record: Record,
    what: string,
    options?: RequestOptions,
  ): Promise<Attribute[]> {
    const own = [...record.attributes];
    const list = own.filter(({ type }) => type === ATTRIBUTE.list);
    if (list.length === 0) return own;
    const device = streamOf(this.#pages, this.#boot, list, what);
    const size = Number(device.size);
    if (size > 1 << 20) throw damaged(what, `a list of attributes of ${size} bytes`);
    const bytes =
      size === 0 ? Buffer.alloc(0) : Buffer.from(contiguous(await device.read(0n, size, options)));
    const others = new Set<number>();
    for (let at = 0; at + 26 <= bytes.length; ) {
      const length = bytes.readUInt16LE(at + 4);
      if (length < 26 || others.size > MOST_LISTED)
        throw damaged(what, 'its list of attributes is damaged');
      others.add(numberOf(bytes.readBigUInt64LE(at + 16)));
      at += length;
    }
    others.delete(record.number);
    for (const number of others) {
      const other = await this.#record(number, options);
      if (other.base !== record.number) throw damaged(what, `record ${number} is not a part of it`);
      own.push(...other.attributes);
    }
    return own;
  }

  /** The value of an attribute; undefined: there is none. */
  #stream({ record, attributes }: Found, wanted: number, called = ''): BlockDevice | undefined {
    const parts = attributes.filter(({ type, name }) => type === wanted && name === called);
    if (parts.length === 0) return undefined;
    return streamOf(this.#pages, this.#boot, parts, `ntfs: record ${record.number}`);
  }

  async #node(
    number: number,
    sequence: number | undefined,
    options?: RequestOptions,
  ): Promise<Node> {
    const found = await this.#find(number, sequence, options);
    const { link, compressed } = await this.#special(found, options);
    const stat = this.#stat(found, link);
    return {
      id: String(number),
      stat,
      list: asked => this.#list(found, stat, asked),
      readlink: async () => {
        if (link === undefined) throw wrongType('symbolic link');
        return link;
      },
      open: async () => {
        if (stat.type !== 'file') throw wrongType('regular file');
        if (compressed)
          throw unsupported(`ntfs: record ${number}`, 'the compression of Windows 10 (WOF)');
        return this.#stream(found, ATTRIBUTE.data) ?? bytesDevice(Buffer.alloc(0));
      },
    };
  }

  /** What else than a file or a directory it is. */
  async #special(found: Found, options?: RequestOptions): Promise<Reparse> {
    const reparse = await this.#small(found, ATTRIBUTE.reparse, options);
    if (reparse) return reparseOf(reparse);
    if (found.record.directory || !(flagsOf(found) & SYSTEM)) return {};
    const content = await this.#small(found, ATTRIBUTE.data, options);
    const link = content && interixLink(content);
    return link === undefined ? {} : { link };
  }

  async #small(found: Found, type: number, options?: RequestOptions): Promise<Buffer | undefined> {
    const parts = found.attributes.filter(
      attribute => attribute.type === type && attribute.name === '',
    );
    if (parts.some(({ encrypted }) => encrypted)) return undefined;
    const device = this.#stream(found, type);
    if (!device || device.size === 0n || device.size > BigInt(LONGEST_LINK)) return undefined;
    return Buffer.from(contiguous(await device.read(0n, Number(device.size), options)));
  }

  #stat({ record, attributes }: Found, link: string | undefined): Stat {
    const standard = attributes.find(({ type }) => type === ATTRIBUTE.standard)?.value;
    const time = (at: number) =>
      standard && standard.length >= at + 8 ? timeOf(standard.readBigUInt64LE(at)) : 0n;
    const [kind, called] = record.directory
      ? [ATTRIBUTE.indexAllocation, INDEX]
      : [ATTRIBUTE.data, ''];
    const data = attributes.filter(each => each.type === kind && each.name === called);
    const first = data.find(({ value, mapped }) => value || mapped?.firstCluster === 0);
    const size = BigInt(first?.value?.length ?? 0) + (first?.mapped?.size ?? 0n);
    const type = link !== undefined ? 'symlink' : record.directory ? 'directory' : 'file';
    const shown = link === undefined ? size : BigInt(Buffer.byteLength(link));
    return {
      type,
      mode: 0o777,
      links: record.directory ? 1 : record.links,
      uid: 0,
      gid: 0,
      size: shown,
      blocks: first?.mapped ? first.mapped.allocated / 512n : (shown + 511n) / 512n,
      atime: time(24),
      mtime: time(8),
      ctime: time(16),
      inode: BigInt(record.number),
    };
  }

  async #list(found: Found, { type }: Stat, options?: RequestOptions): Promise<Entry[]> {
    if (type !== 'directory') throw wrongType('directory');
    const what = `ntfs: directory ${found.record.number}`;
    const { attributes } = found;
    const root = attributes.find(
      each => each.type === ATTRIBUTE.indexRoot && each.name === INDEX,
    )?.value;
    if (!root) throw damaged(what, 'its root is missing');
    const names = await namesIn(
      what,
      {
        root,
        blocks: this.#stream(found, ATTRIBUTE.indexAllocation, INDEX),
        bitmap: this.#stream(found, ATTRIBUTE.bitmap, INDEX),
      },
      options,
    );
    // Those of the volume itself, and the root by the name of a dot, are not for users.
    const shown = names.filter(({ reference }) => numberOf(reference) >= FILE.firstOfUsers);
    return shown.map(({ name, reference }) => ({
      name,
      node: asked => this.#node(numberOf(reference), Number(reference >> 48n), asked),
    }));
  }

  /** As ntfs-3g counts. */
  async #usage(options?: RequestOptions): Promise<Usage> {
    const { cluster, clusters, record } = this.#boot;
    const bitmap = this.#stream(await this.#find(FILE.bitmap, undefined, options), ATTRIBUTE.data);
    const free = BigInt(clusters - (await bitsSet(bitmap, clusters, options)));
    const records = Number(this.#table!.size / BigInt(record));
    const inTable = this.#stream(
      await this.#find(FILE.table, undefined, options),
      ATTRIBUTE.bitmap,
    );
    const unused = BigInt(records - (await bitsSet(inTable, records, options)));
    const filesFree = unused + (free * BigInt(cluster)) / BigInt(record);
    const files = BigInt(records) + (free * BigInt(cluster)) / BigInt(record);
    return {
      blockSize: cluster,
      blocks: BigInt(clusters),
      free,
      available: free,
      files,
      filesFree,
    };
  }
}

function flagsOf({ attributes }: Found): number {
  const standard = attributes.find(({ type }) => type === ATTRIBUTE.standard)?.value;
  return standard && standard.length >= 36 ? standard.readUInt32LE(32) : 0;
}

/** Tenths of microseconds since 1601. */
function timeOf(time: bigint): bigint {
  return (time - 116_444_736_000_000_000n) * 100n;
}
