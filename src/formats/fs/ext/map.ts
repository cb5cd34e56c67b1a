import { crc32c } from '../../../block/crc32c.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import { fileDevice, type Run } from '../file-device.ts';
import type { Pages } from '../pages.ts';
import type { Inode } from './inode.ts';
import type { Superblock } from './superblock.ts';

/** Blocks of a file from `first` on: `count` of them, at `at`, or a hole. */
interface Mapped {
  readonly first: number;
  readonly count: number;
  readonly at?: number | undefined;
  readonly unwritten?: boolean;
}

const DEEPEST = 5;
const NODE = 12;
const LONGEST_EXTENT = 32768;
const MOST_BLOCKS = 2 ** 32;

/** The content of a file that lies in blocks. @param size in bytes. */
export function mappedDevice(
  pages: Pages,
  superblock: Superblock,
  inode: Inode,
  size = inode.stat.size,
): BlockDevice {
  const { blockSize, blocks } = superblock;
  const find = inode.extents ? findExtent : findIndirect;
  const unit = BigInt(blockSize);
  if (size > BigInt(MOST_BLOCKS) * unit) {
    throw damaged(`ext: inode ${inode.number}`, `it has ${size} bytes`);
  }
  return fileDevice(size, async (offset, options): Promise<Run> => {
    const block = Number(offset / unit);
    const { first, count, at, unwritten } = await find(
      { pages, superblock, inode, block },
      options,
    );
    if (at !== undefined && (at < 1 || at + count > blocks)) {
      throw damaged(`ext: inode ${inode.number}`, `block ${block} is outside of the file system`);
    }
    const start = BigInt(first) * unit;
    const end = BigInt(first + count) * unit;
    if (at === undefined || unwritten) return { start, end, allocated: at !== undefined };
    return { start, end, from: pages, at: BigInt(at) * unit };
  });
}

interface Search {
  readonly pages: Pages;
  readonly superblock: Superblock;
  readonly inode: Inode;
  readonly block: number;
}

/** Down the tree of extents, whose root is in the inode. */
async function findExtent(search: Search, options: RequestOptions): Promise<Mapped> {
  const { pages, superblock, inode, block } = search;
  const what = `ext: extents of inode ${inode.number}`;
  let node = inode.map;
  let below = MOST_BLOCKS;
  for (let depth = depthOf(node, what); ; depth--) {
    const count = entriesOf(node, what, depth);
    const index = lastAtMost(node, count, block);
    const next = index + 1 < count ? node.readUInt32LE((index + 2) * NODE) : below;
    if (index < 0) return { first: block, count: Math.max(1, next - block) };
    const entry = node.subarray((index + 1) * NODE);
    if (depth === 0) return extentAt(entry, block, next);
    const child = entry.readUInt32LE(4) + entry.readUInt16LE(8) * 2 ** 32;
    if (child >= superblock.blocks) throw damaged(what, `a node is at block ${child}`);
    const { blockSize } = superblock;
    node = await pages.structure(what, child * blockSize, blockSize, options);
    below = next;
    verifyNode(node, inode, what);
  }
}

function depthOf(node: Buffer, what: string): number {
  const depth = node.readUInt16LE(6);
  if (depth > DEEPEST) throw damaged(what, `they are ${depth} levels deep`);
  return depth;
}

function entriesOf(node: Buffer, what: string, depth: number): number {
  const [magic, count, most] = [node.readUInt16LE(0), node.readUInt16LE(2), node.readUInt16LE(4)];
  if (magic !== 0xf30a) throw damaged(what, 'the magic number of a node is missing');
  if (node.readUInt16LE(6) !== depth) throw damaged(what, 'a node is of another depth');
  if (count > most || (most + 1) * NODE > node.length)
    throw damaged(what, `a node of ${count} entries`);
  return count;
}

/** The last entry that begins at a block or before; -1: none. */
function lastAtMost(node: Buffer, count: number, block: number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (node.readUInt32LE((middle + 1) * NODE) <= block) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function extentAt(entry: Buffer, block: number, next: number): Mapped {
  const first = entry.readUInt32LE(0);
  const length = entry.readUInt16LE(4);
  const unwritten = length > LONGEST_EXTENT;
  const count = unwritten ? length - LONGEST_EXTENT : length;
  if (block >= first + count) return { first: block, count: Math.max(1, next - block) };
  return { first, count, at: entry.readUInt16LE(6) * 2 ** 32 + entry.readUInt32LE(8), unwritten };
}

function verifyNode(node: Buffer, { seed }: Inode, what: string): void {
  if (seed === undefined) return;
  const end = NODE * (node.readUInt16LE(4) + 1);
  const fits = end + 4 <= node.length;
  if (!fits || crc32c(seed, node.subarray(0, end)) !== node.readUInt32LE(end)) {
    throw damaged(what, 'the checksum of a node is wrong');
  }
}

const DIRECT = 12;

/** Through the tables of ext2 and ext3: twelve blocks, and one, two and three tables deep. */
async function findIndirect(search: Search, options: RequestOptions): Promise<Mapped> {
  const { pages, superblock, inode, block } = search;
  const perTable = superblock.blockSize / 4;
  if (block < DIRECT) return runIn(inode.map.subarray(0, 4 * DIRECT), 0, block);
  let left = block - DIRECT;
  for (let level = 1; level <= 3; level++) {
    const span = perTable ** level;
    if (left >= span) {
      left -= span;
      continue;
    }
    let at = inode.map.readUInt32LE(4 * (DIRECT + level - 1));
    let first = block - left;
    for (let covers = span; at !== 0; ) {
      covers /= perTable;
      const what = `ext: indirect blocks of inode ${inode.number}`;
      if (at >= superblock.blocks) throw damaged(what, `one is block ${at}`);
      const { blockSize } = superblock;
      const table = await pages.structure(what, at * blockSize, blockSize, options);
      const index = Math.floor((block - first) / covers);
      if (covers === 1) return runIn(table, first, index);
      first += index * covers;
      at = table.readUInt32LE(4 * index);
      if (at === 0) return { first, count: covers };
    }
    return { first, count: span };
  }
  throw damaged(`ext: inode ${inode.number}`, 'it is longer than its tables allow');
}

/** The blocks that follow each other, or are missing, from an entry of a table on. */
function runIn(table: Buffer, first: number, index: number): Mapped {
  const at = table.readUInt32LE(4 * index);
  const entries = table.length / 4;
  let count = 1;
  while (index + count < entries) {
    const next = table.readUInt32LE(4 * (index + count));
    if (next !== (at === 0 ? 0 : at + count)) break;
    count += 1;
  }
  return { first: first + index, count, at: at === 0 ? undefined : at };
}
