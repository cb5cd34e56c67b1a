import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Pages } from '../pages.ts';
import type { Fork } from './inode.ts';
import { checksumOf, placeOf, type Superblock } from './superblock.ts';

/** Blocks of a file, of which the first is `first`; no `at`: a hole. */
export interface Mapped {
  readonly first: bigint;
  readonly count: bigint;
  /** As blocks are counted by group. */
  readonly at?: bigint;
  readonly unwritten?: boolean;
}

const RECORD = 16;
const KEY = 8;
/** Blocks of a file are counted with 54 bits. */
const MOST_BLOCKS = 1n << 54n;
const DEEPEST = 9;
const HEADER = { old: 24, checked: 72 } as const;

/** The extent in which a block of a file lies, or the hole. @throws BlockError EIO */
export async function findExtent(
  pages: Pages,
  superblock: Superblock,
  inode: Fork,
  block: bigint,
  options?: RequestOptions,
): Promise<Mapped> {
  const what = `xfs: extents of inode ${inode.number}`;
  const { fork, extents } = inode;
  if (inode.format === 'extents') {
    if (extents * RECORD > fork.length) throw damaged(what, `there are ${extents} in the inode`);
    return lookIn(fork.subarray(0, extents * RECORD), block, MOST_BLOCKS);
  }
  if (inode.format !== 'btree' || fork.length < 4) throw damaged(what, 'it has none');
  let level = fork.readUInt16BE(0);
  if (level < 1 || level > DEEPEST) throw damaged(what, `they are ${level} levels deep`);
  let keys = pairs(fork.subarray(4), fork.readUInt16BE(2), what);
  for (let below = MOST_BLOCKS; ; ) {
    const { child, next } = chosen(keys, block, below);
    if (child === undefined) return { first: block, count: next - block };
    below = next;
    level -= 1;
    const node = await nodeAt(pages, superblock, inode, child, level, options);
    if (level === 0) return lookIn(node.records, block, below);
    keys = pairs(node.records, node.count, what);
  }
}

interface Pairs {
  readonly count: number;
  key(index: number): bigint;
  pointer(index: number): bigint;
}

/** Keys and, after room for as many as fit, pointers. */
function pairs(bytes: Buffer, count: number, what: string): Pairs {
  const most = Math.floor(bytes.length / (2 * KEY));
  if (count > most) throw damaged(what, `a node of ${count} entries`);
  return {
    count,
    key: index => bytes.readBigUInt64BE(index * KEY),
    pointer: index => bytes.readBigUInt64BE((most + index) * KEY),
  };
}

/** The child for a block, and where the one after it begins. */
function chosen({ count, key, pointer }: Pairs, block: bigint, below: bigint) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (key(middle) <= block) low = middle + 1;
    else high = middle;
  }
  const found = low < count ? key(low) : below;
  const next = found > block ? found : block + 1n;
  return { child: low === 0 ? undefined : pointer(low - 1), next };
}

async function nodeAt(
  pages: Pages,
  superblock: Superblock,
  { number }: Fork,
  block: bigint,
  level: number,
  options?: RequestOptions,
): Promise<{ readonly records: Buffer; readonly count: number }> {
  const what = `xfs: extents of inode ${number}`;
  const { blockSize, checksums } = superblock;
  const bytes = await pages.structure(what, placeOf(superblock, block, what), blockSize, options);
  const magic = checksums ? 'BMA3' : 'BMAP';
  if (bytes.toString('latin1', 0, 4) !== magic)
    throw damaged(what, 'the magic number of a node is missing');
  if (checksums && checksumOf(bytes, 64) !== bytes.readUInt32LE(64)) {
    throw damaged(what, 'the checksum of a node is wrong');
  }
  if (checksums && bytes.readBigUInt64BE(56) !== number)
    throw damaged(what, 'a node is of another inode');
  if (bytes.readUInt16BE(4) !== level) throw damaged(what, 'a node is of another level');
  const count = bytes.readUInt16BE(6);
  const body = bytes.subarray(checksums ? HEADER.checked : HEADER.old);
  if (level === 0 && count * RECORD > body.length)
    throw damaged(what, `a node of ${count} extents`);
  return { records: level === 0 ? body.subarray(0, count * RECORD) : body, count };
}

/** @param below what begins here is elsewhere. */
function lookIn(records: Buffer, block: bigint, below: bigint): Mapped {
  let [low, high] = [0, records.length / RECORD];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (startOf(records, middle) <= block) low = middle + 1;
    else high = middle;
  }
  const following = low < records.length / RECORD ? startOf(records, low) : below;
  const next = following > block ? following : block + 1n;
  if (low === 0) return { first: block, count: next - block };
  const found = extentAt(records, low - 1);
  return block < found.first + found.count ? found : { first: block, count: next - block };
}

function startOf(records: Buffer, index: number): bigint {
  return (records.readBigUInt64BE(index * RECORD) >> 9n) & (MOST_BLOCKS - 1n);
}

/** A flag, then 54 bits of where in the file, 52 of where on the disk, 21 of how many. */
function extentAt(records: Buffer, index: number): Mapped {
  const high = records.readBigUInt64BE(index * RECORD);
  const low = records.readBigUInt64BE(index * RECORD + 8);
  return {
    first: startOf(records, index),
    count: low & 0x1fffffn,
    at: ((high & 0x1ffn) << 43n) | (low >> 21n),
    unwritten: high >> 63n === 1n,
  };
}
