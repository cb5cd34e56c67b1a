import { contiguous } from '../../../block/data.ts';
import type { Data, ReadOptions, RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Readable } from '../file-device.ts';
import type { Pages } from '../pages.ts';
import type { Chunks } from './chunks.ts';
import { SUM_LENGTHS, type Superblock, sumMatches } from './superblock.ts';
import type { Root, Trees } from './tree.ts';

const SUMS_OBJECT = 2n ** 64n - 10n;
const SUMS_TYPE = 128;

/** The sums of some sectors that follow each other; none are kept for files that want none. */
interface Stretch {
  /** The first sector's, in bytes of the logical address space. */
  readonly address: bigint;
  readonly sums: Buffer;
}

/** Reads data of files, each sector of which has a checksum in a tree of its own. */
export class SummedData {
  readonly #pages: Pages;
  readonly #chunks: Chunks;
  readonly #trees: Trees;
  readonly #superblock: Superblock;
  readonly #root: () => Promise<Root | undefined>;

  /** @param root of the tree of checksums, which is looked for when it is first needed. */
  constructor(
    { pages, chunks, trees }: { pages: Pages; chunks: Chunks; trees: Trees },
    superblock: Superblock,
    root: () => Promise<Root | undefined>,
  ) {
    this.#pages = pages;
    this.#chunks = chunks;
    this.#trees = trees;
    this.#superblock = superblock;
    let found: Promise<Root | undefined> | undefined;
    this.#root = () => {
      found ??= root();
      return found;
    };
  }

  /** What lies at an address, from there on. @throws BlockError EIO it is not as it was written. */
  from(what: string, address: bigint): Readable {
    return { read: (at, length, options) => this.read(what, address + at, length, options) };
  }

  /** Whole sectors are read into lent memory, the parts of sectors at the ends are not. */
  async read(
    what: string,
    address: bigint,
    length: number,
    options: ReadOptions = {},
  ): Promise<Data> {
    const { sectorSize } = this.#superblock;
    const whole = length - (length % sectorSize);
    if (whole === 0 || whole === length || address % BigInt(sectorSize) !== 0n)
      return this.#sectors(what, address, length, options);
    const tail = address + BigInt(whole);
    const { signal } = options;
    return [
      await this.#sectors(what, address, whole, options),
      await this.#sectors(what, tail, length - whole, { signal }),
    ];
  }

  async #sectors(
    what: string,
    address: bigint,
    length: number,
    { signal, memory }: ReadOptions,
  ): Promise<Buffer> {
    const sector = BigInt(this.#superblock.sectorSize);
    const first = address - (address % sector);
    const end = address + BigInt(length) + sector - 1n;
    const span = Number(end - (end % sector) - first);
    const options = { signal, memory: span === length ? memory : undefined };
    const place = BigInt(this.#chunks.place(first, span, what));
    const read = contiguous(await this.#pages.read(place, span, options));
    const bytes = Buffer.from(read.buffer, read.byteOffset, read.length);
    for (const stretch of await this.#sums(first, span, options)) {
      this.#verify(what, bytes, first, stretch);
    }
    const skip = Number(address - first);
    return bytes.subarray(skip, skip + length);
  }

  #verify(what: string, bytes: Buffer, first: bigint, { address, sums }: Stretch): void {
    const { checksum, sectorSize } = this.#superblock;
    const width = SUM_LENGTHS[checksum];
    let at = Number(address - first);
    for (let sum = 0; sum < sums.length; sum += width, at += sectorSize) {
      const sector = bytes.subarray(at, at + sectorSize);
      if (sumMatches(checksum, sector, sums.subarray(sum, sum + width))) continue;
      throw damaged(what, `the checksum of its data at ${first + BigInt(at)} is wrong`);
    }
  }

  /** All sums that there are of a range of whole sectors. */
  async #sums(first: bigint, span: number, options: RequestOptions): Promise<Stretch[]> {
    const root = await this.#root();
    if (!root) return [];
    const sector = BigInt(this.#superblock.sectorSize);
    const width = SUM_LENGTHS[this.#superblock.checksum];
    const end = first + BigInt(span);
    const found: Stretch[] = [];
    for (let at = first; at < end; ) {
      const key = { object: SUMS_OBJECT, type: SUMS_TYPE, offset: at };
      const item = await this.#trees.atMost(root, key, options);
      const skipped = item ? Number((at - item.key.offset) / sector) : 0;
      const sums = item?.data.subarray(skipped * width) ?? Buffer.alloc(0);
      const count = Math.min(Math.floor(sums.length / width), Number((end - at) / sector));
      if (count > 0) {
        // The leaf may be another by the time that they are used.
        found.push({ address: at, sums: Buffer.from(sums.subarray(0, count * width)) });
        at += BigInt(count) * sector;
      } else at = await this.#next(root, at, end, options);
    }
    return found;
  }

  /** Where sums begin again. */
  async #next(root: Root, at: bigint, end: bigint, options: RequestOptions): Promise<bigint> {
    const from = { object: SUMS_OBJECT, type: SUMS_TYPE, offset: at + 1n };
    for await (const { key } of this.#trees.items(root, from, options)) {
      return key.offset < end ? key.offset : end;
    }
    return end;
  }
}
