import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Run } from '../file-device.ts';
import type { Pages } from '../pages.ts';
import type { Layout } from './boot.ts';

/** Bytes of a table that are looked at together; a multiple of 3, as FAT12 has 12 bits. */
const PART = 3 * 4096;

/** The first file allocation table: which cluster follows which. */
export class Table {
  readonly #pages: Pages;
  readonly #layout: Layout;
  #part: { readonly at: number; readonly bytes: Buffer } | undefined;

  constructor(pages: Pages, layout: Layout) {
    this.#pages = pages;
    this.#layout = layout;
  }

  /** The entry of a cluster, without the upper four bits of FAT32. */
  async entry(cluster: number, options?: RequestOptions): Promise<number> {
    const { bits } = this.#layout;
    const place = Math.floor((cluster * bits) / 8);
    const at = place - (place % PART);
    const bytes = this.#part?.at === at ? this.#part.bytes : await this.#read(at, options);
    const inside = place - at;
    if (bits === 32) return bytes.readUInt32LE(inside) & 0x0fffffff;
    if (bits === 16) return bytes.readUInt16LE(inside);
    const pair = bytes[inside]! | (bytes[inside + 1]! << 8);
    return cluster % 2 === 0 ? pair & 0xfff : pair >> 4;
  }

  async #read(at: number, options?: RequestOptions): Promise<Buffer> {
    const { offset, length } = this.#layout.table;
    const part = Math.min(PART, length - at);
    const bytes = await this.#pages.structure('fat: table', offset + at, part, options);
    this.#part = { at, bytes };
    return bytes;
  }

  /**
   * Where the clusters lie that follow from a first one.
   * @param what is named in errors. @param most bytes that are needed; all unless told.
   * @throws BlockError EIO the chain leads astray or in a circle.
   */
  async chain(
    what: string,
    first: number,
    most = Number.POSITIVE_INFINITY,
    options?: RequestOptions,
  ): Promise<Run[]> {
    const { bits, clusters, cluster: size, data } = this.#layout;
    const end = 2 ** Math.min(bits, 28) - 8;
    const runs: { start: bigint; end: bigint; at: bigint; from: Pages }[] = [];
    let seen = 0;
    for (let cluster = first; cluster < end && seen * size < most; seen++) {
      if (cluster < 2 || cluster >= clusters + 2)
        throw damaged(what, `cluster ${cluster} is in its chain`);
      if (seen >= clusters) throw damaged(what, 'its chain of clusters is a circle');
      const at = BigInt(data + (cluster - 2) * size);
      const last = runs.at(-1);
      if (last && last.at + (last.end - last.start) === at) last.end += BigInt(size);
      else {
        const start = BigInt(seen) * BigInt(size);
        runs.push({ start, end: start + BigInt(size), at, from: this.#pages });
      }
      cluster = await this.entry(cluster, options);
    }
    return runs;
  }

  /** Clusters that are in no chain. */
  async free(options?: RequestOptions): Promise<number> {
    let count = 0;
    for (let cluster = 2; cluster < this.#layout.clusters + 2; cluster++) {
      if ((await this.entry(cluster, options)) === 0) count += 1;
    }
    return count;
  }
}
