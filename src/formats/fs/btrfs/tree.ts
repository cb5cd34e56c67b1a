import { BlockCache, Budget } from '../../../block/block-cache.ts';
import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Pages } from '../pages.ts';
import type { Chunks } from './chunks.ts';
import { isSummed, type Superblock } from './superblock.ts';

export interface Key {
  readonly object: bigint;
  readonly type: number;
  readonly offset: bigint;
}

export interface Item {
  readonly key: Key;
  readonly data: Buffer;
}

/** A tree of the file system. */
export interface Root {
  readonly address: bigint;
  readonly level: number;
}

const HEADER = 101;
const KEY = 17;
const POINTER = 33;
const ITEM = 25;
const DEEPEST = 8;
/** Bytes of nodes. */
const KEPT = 8 << 20;
const LARGEST = 2n ** 64n - 1n;

/** Reads nodes and finds items in trees. */
export class Trees {
  readonly #pages: Pages;
  readonly #superblock: Superblock;
  readonly #chunks: Chunks;
  /** Those that were verified, which takes longer than to find them again. */
  readonly #nodes = new BlockCache<bigint, Buffer>(new Budget(KEPT));

  constructor(pages: Pages, superblock: Superblock, chunks: Chunks) {
    this.#pages = pages;
    this.#superblock = superblock;
    this.#chunks = chunks;
  }

  /** The items from a key on, as far as they are of its object and `last` type, in order. */
  async *items(
    root: Root,
    from: Key,
    { last = from.type, signal }: { readonly last?: number } & RequestOptions = {},
  ): AsyncGenerator<Item> {
    for (let next: Key | undefined = from; next; ) {
      const { leaf, after } = await this.#leaf(root, next, { signal });
      for (let index = firstFrom(leaf, next); index < countOf(leaf); index++) {
        const item = itemAt(leaf, index);
        const { object, type } = item.key;
        if (object !== from.object || type > last) return;
        yield item;
      }
      next = after;
    }
  }

  /** All items from a key on. */
  async *all(root: Root, from: Key, options?: RequestOptions): AsyncGenerator<Item> {
    for (let next: Key | undefined = from; next; ) {
      const { leaf, after } = await this.#leaf(root, next, options);
      for (let index = firstFrom(leaf, next); index < countOf(leaf); index++)
        yield itemAt(leaf, index);
      next = after;
    }
  }

  /** The last item at a key or before it, as far as it is of its object and type. */
  async atMost(root: Root, key: Key, options?: RequestOptions): Promise<Item | undefined> {
    const { leaf, before } = await this.#leaf(root, key, options);
    const index = firstFrom(leaf, key);
    const exact = index < countOf(leaf) && compare(keyAt(leaf, index), key) === 0;
    const found = exact ? itemAt(leaf, index) : index > 0 ? itemAt(leaf, index - 1) : undefined;
    const item = found ?? (before && (await this.#lastOf(root, before, options)));
    return item?.key.object === key.object && item.key.type === key.type ? item : undefined;
  }

  /** The item with exactly this key. */
  async exact(root: Root, key: Key, options?: RequestOptions): Promise<Item | undefined> {
    const item = await this.atMost(root, key, options);
    return item?.key.offset === key.offset ? item : undefined;
  }

  async #lastOf(root: Root, key: Key, options?: RequestOptions): Promise<Item | undefined> {
    const { leaf } = await this.#leaf(root, key, options);
    return countOf(leaf) > 0 ? itemAt(leaf, countOf(leaf) - 1) : undefined;
  }

  /** The leaf in which a key is or would be, the key where the next one begins, the last one before it. */
  async #leaf(root: Root, key: Key, options?: RequestOptions) {
    let { address, level } = root;
    let after: Key | undefined;
    let before: Key | undefined;
    if (level >= DEEPEST) throw damaged('btrfs: tree', `it is ${level} levels deep`);
    for (;;) {
      const node = await this.#node(address, level, options);
      if (level === 0) return { leaf: node, after, before };
      const count = countOf(node);
      if (count === 0) throw damaged('btrfs: tree', 'a node is empty');
      const index = Math.max(0, firstAfter(node, key) - 1);
      if (index + 1 < count) {
        after = pointerKey(node, index + 1);
        if (compare(after, key) <= 0) throw damaged('btrfs: tree', 'its keys are not in order');
      }
      if (index > 0) before = keyBefore(pointerKey(node, index));
      address = node.readBigUInt64LE(HEADER + index * POINTER + KEY);
      level -= 1;
    }
  }

  async #node(address: bigint, level: number, options?: RequestOptions): Promise<Buffer> {
    const node = await this.#nodes.get(address, asked => this.#read(address, asked), options);
    if (node[100] !== level) throw damaged(`btrfs: node ${address}`, `it is at level ${node[100]}`);
    return node;
  }

  async #read(address: bigint, options?: RequestOptions): Promise<Buffer> {
    const { nodeSize, fsid, checksum } = this.#superblock;
    const what = `btrfs: node ${address}`;
    const place = this.#chunks.place(address, nodeSize, what);
    const bytes = await this.#pages.structure(what, place, nodeSize, options);
    if (!isSummed(bytes, checksum)) throw damaged(what, 'its checksum is wrong');
    if (bytes.readBigUInt64LE(48) !== address) throw damaged(what, 'another one is in its place');
    if (!bytes.subarray(32, 48).equals(fsid)) throw damaged(what, 'it is of another file system');
    const count = countOf(bytes);
    if (count > (nodeSize - HEADER) / (bytes[100] === 0 ? ITEM : POINTER))
      throw damaged(what, `it has ${count} entries`);
    return bytes;
  }
}

const countOf = (node: Buffer) => node.readUInt32LE(96);

function keyFrom(bytes: Buffer, at: number): Key {
  return {
    object: bytes.readBigUInt64LE(at),
    type: bytes[at + 8]!,
    offset: bytes.readBigUInt64LE(at + 9),
  };
}

const keyAt = (leaf: Buffer, index: number) => keyFrom(leaf, HEADER + index * ITEM);
const pointerKey = (node: Buffer, index: number) => keyFrom(node, HEADER + index * POINTER);

function compare(a: Key, b: Key): number {
  if (a.object !== b.object) return a.object < b.object ? -1 : 1;
  if (a.type !== b.type) return a.type - b.type;
  return a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : 0;
}

/** The largest key that is less. */
function keyBefore({ object, type, offset }: Key): Key {
  if (offset > 0n) return { object, type, offset: offset - 1n };
  if (type > 0) return { object, type: type - 1, offset: LARGEST };
  return { object: object - 1n, type: 255, offset: LARGEST };
}

/** The first entry of a leaf at a key or after it. */
function firstFrom(leaf: Buffer, key: Key): number {
  return firstThat(countOf(leaf), index => compare(keyAt(leaf, index), key) >= 0);
}

/** The first entry of a node after a key. */
function firstAfter(node: Buffer, key: Key): number {
  return firstThat(countOf(node), index => compare(pointerKey(node, index), key) > 0);
}

function firstThat(count: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function itemAt(leaf: Buffer, index: number): Item {
  const at = HEADER + index * ITEM;
  const start = HEADER + leaf.readUInt32LE(at + KEY);
  const end = start + leaf.readUInt32LE(at + KEY + 4);
  if (end > leaf.length) throw damaged('btrfs: leaf', 'an item reaches past its end');
  return { key: keyFrom(leaf, at), data: leaf.subarray(start, end) };
}
