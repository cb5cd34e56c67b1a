import { before, CHANGES } from '../../block/around.ts';
import { isZero } from '../../block/data.ts';
import type { BlockDevice, MetaContext } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BitmapBits, bytesFor } from '../../images/bitmap-bits.ts';
import type { Bitmaps } from '../../images/image.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { harmless } from '../../protocol/text.ts';
import {
  dataClusters,
  directoryBytes,
  directoryOf,
  leadTo,
  type StoredBitmap,
} from './bitmap-directory.ts';
import type { Header } from './header.ts';
import { giveBack, type State, saveHeader, store } from './state.ts';

/** A bitmap of an open image; its bits are read when they are first needed. */
interface Bitmap {
  stored: StoredBitmap;
  bits?: BitmapBits;
  /** They are to be stored. */
  changed: boolean;
}

const DEFAULT_GRANULARITY = 65536;

/** The persistent bitmaps of an image. */
export class Qcow2Bitmaps implements Bitmaps {
  readonly #state: State;
  #bitmaps: Bitmap[];
  /** What is in the file and not wanted any more. */
  readonly #gone: StoredBitmap[] = [];
  /** In the file they are said to be in use. */
  #marked = false;

  constructor(state: State, stored: readonly StoredBitmap[]) {
    this.#state = state;
    this.#bitmaps = stored.map(each => ({ stored: each, changed: false }));
  }

  get names(): readonly StoredBitmap[] {
    return this.#bitmaps.map(({ stored }) => stored);
  }

  /** Those that can be believed. */
  list(): readonly StoredBitmap[] {
    return this.names.filter(({ inUse }) => !inUse);
  }

  add(name: string, granularity = DEFAULT_GRANULARITY, auto = true): void {
    const length = Buffer.byteLength(name);
    if (length === 0 || length > 1023)
      throw new BlockError('EINVAL', 'Bitmap name too long, or empty');
    if (this.#bitmaps.some(({ stored }) => stored.name === name)) {
      throw new BlockError('EINVAL', `Bitmap already exists: ${harmless(name)}`);
    }
    if (!Number.isInteger(Math.log2(granularity)) || granularity < 512 || granularity > 2 ** 31) {
      throw new BlockError('EINVAL', 'Granularity must be power of two from 512 to 2G');
    }
    if (this.#state.header.version === 2) {
      throw new BlockError('EINVAL', `Cannot store dirty bitmaps in qcow2 v2 files`);
    }
    const extra = Buffer.alloc(0);
    const stored = { name, granularity, auto, inUse: false, tableAt: 0, tableEntries: 0, extra };
    const bits = new BitmapBits(this.#state.header.size, granularity);
    this.#bitmaps.push({ stored, bits, changed: true });
  }

  remove(name: string): void {
    const found = this.#find(name, true);
    this.#bitmaps = this.#bitmaps.filter(each => each !== found);
    this.#gone.push(found.stored);
  }

  clear(name: string): void {
    const bitmap = this.#find(name);
    bitmap.bits = new BitmapBits(this.#state.header.size, bitmap.stored.granularity);
    bitmap.changed = true;
  }

  enable(name: string, auto: boolean): void {
    const bitmap = this.#find(name);
    bitmap.stored = { ...bitmap.stored, auto };
  }

  async merge(name: string, other: BitmapBits): Promise<void> {
    const bitmap = this.#find(name);
    (await this.#bitsOf(bitmap)).merge(other);
    bitmap.changed = true;
  }

  bits(name: string): Promise<BitmapBits> {
    return this.#bitsOf(this.#find(name));
  }

  /** @param broken whether one may have it of which nobody knows what it should say. */
  #find(name: string, broken = false): Bitmap {
    const found = this.#bitmaps.find(({ stored }) => stored.name === name);
    if (!found) throw new BlockError('ENOENT', `Dirty bitmap '${harmless(name)}' not found`);
    if (!found.stored.inUse || broken) return found;
    const words = `Bitmap '${harmless(name)}' is inconsistent and cannot be used`;
    throw new BlockError('EINVAL', words, {
      cause: 'Try block-dirty-bitmap-remove to delete this bitmap from disk',
    });
  }

  async #bitsOf(bitmap: Bitmap): Promise<BitmapBits> {
    const { file, header } = this.#state;
    bitmap.bits ??= await readBits(file, header, bitmap.stored);
    return bitmap.bits;
  }

  /** As contexts for block status. */
  contexts(): MetaContext[] {
    return this.#bitmaps
      .filter(({ stored }) => !stored.inUse)
      .map(bitmap => ({
        name: `qemu:dirty-bitmap:${bitmap.stored.name}`,
        status: async (offset, length) => (await this.#bitsOf(bitmap)).status(offset, length),
      }));
  }

  /** The disk, of which is noted what changes it. */
  tracked(disk: BlockDevice): BlockDevice {
    const tracking = this.#bitmaps.filter(({ stored }) => stored.auto && !stored.inUse);
    if (tracking.length === 0) return disk;
    return before(
      disk,
      async ({ offset, length }) => {
        await this.#markInUse();
        for (const bitmap of tracking) {
          (await this.#bitsOf(bitmap)).mark(offset, length);
          bitmap.changed = true;
        }
      },
      CHANGES,
    );
  }

  #marking: Promise<void> | undefined;

  /** Before the first change: if nobody stores them, nobody may believe them. */
  #markInUse(): Promise<void> | void {
    if (this.#marked) return;
    this.#marking ??= (async () => {
      const marked = this.names.map(stored => (stored.auto ? { ...stored, inUse: true } : stored));
      await this.#replaceDirectory(marked);
      this.#marked = true;
    })();
    return this.#marking;
  }

  /** The bitmaps are those of a disk of another size. */
  async resize(size: bigint): Promise<void> {
    for (const bitmap of this.#bitmaps) {
      if (bitmap.stored.inUse) continue;
      const { bytes } = await this.#bitsOf(bitmap);
      bitmap.bits = new BitmapBits(size, bitmap.stored.granularity, bytes);
      bitmap.changed = true;
    }
  }

  get isChanged(): boolean {
    return this.#marked || this.#gone.length > 0 || this.#bitmaps.some(({ changed }) => changed);
  }

  /** Writes all that was changed. */
  async save(): Promise<void> {
    const gone = this.#gone.splice(0);
    for (const bitmap of this.#bitmaps) {
      if (!bitmap.changed || !bitmap.bits) continue;
      gone.push(bitmap.stored);
      bitmap.stored = { ...bitmap.stored, ...(await this.#storeBits(bitmap.bits)) };
      bitmap.changed = false;
    }
    await this.#replaceDirectory(this.names);
    for (const stored of gone) await this.#free(stored);
    this.#marked = false;
    this.#marking = undefined;
    await this.#state.clusters.flush();
  }

  /** Clusters that are all zero or all ones are said to be so. */
  async #storeBits({ bytes }: BitmapBits): Promise<{ tableAt: number; tableEntries: number }> {
    const { clusters } = this.#state;
    const size = clusters.cluster;
    const entries = Math.ceil(bytes.length / size);
    const table = Buffer.alloc(entries * 8);
    for (let index = 0; index < entries; index++) {
      const part = bytes.subarray(index * size, (index + 1) * size);
      if (isZero(part)) continue;
      const at = await store(this.#state, Buffer.concat([part], size));
      table.writeBigUInt64BE(BigInt(at), index * 8);
    }
    return { tableAt: await store(this.#state, table), tableEntries: entries };
  }

  async #free({ tableAt, tableEntries }: StoredBitmap): Promise<void> {
    if (tableEntries === 0) return;
    const { file, clusters } = this.#state;
    for (const at of await dataClusters(file, tableAt, tableEntries)) {
      if (at > 1) await giveBack(this.#state, at, clusters.cluster);
    }
    await giveBack(this.#state, tableAt, tableEntries * 8);
  }

  /** A new directory, to which the header leads at one stroke. */
  async #replaceDirectory(stored: readonly StoredBitmap[]): Promise<void> {
    const { header, clusters, file } = this.#state;
    const old = directoryOf(header);
    const bytes = directoryBytes(stored);
    const at = stored.length > 0 ? await store(this.#state, bytes) : 0;
    await clusters.flush();
    await file.flush();
    leadTo(header, stored.length, at, bytes.length);
    await saveHeader(this.#state);
    if (old) await giveBack(this.#state, old.at, old.length);
  }
}

async function readBits(
  file: ImageFile,
  header: Header,
  stored: StoredBitmap,
): Promise<BitmapBits> {
  const bits = new BitmapBits(header.size, stored.granularity);
  const size = 2 ** header.clusterBits;
  const needed = Math.ceil(bytesFor(header.size, stored.granularity) / size);
  if (stored.tableEntries < needed)
    throw new BlockError('EIO', 'the table of a bitmap is too short');
  const entries = await dataClusters(file, stored.tableAt, needed);
  for (const [index, at] of entries.entries()) {
    const part = bits.bytes.subarray(index * size, (index + 1) * size);
    if (at === 1) part.fill(0xff);
    else if (at > 1) (await file.bytes(at, part.length)).copy(part);
  }
  return bits;
}
