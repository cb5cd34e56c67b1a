import { crc32c, crc32cOfWord } from '../../../block/crc32c.ts';
import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Usage } from '../file-system.ts';
import type { Pages } from '../pages.ts';
import { SUPERBLOCK, type Superblock } from './superblock.ts';

/** What a group descriptor says. */
export interface Group {
  /** The block where the table of its inodes begins. */
  readonly inodeTable: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
}

/** The descriptors of groups whose inodes are read, as each is asked for again and again. */
export class Groups {
  readonly #pages: Pages;
  readonly #superblock: Superblock;
  readonly #known = new Map<number, Group>();

  constructor(pages: Pages, superblock: Superblock) {
    this.#pages = pages;
    this.#superblock = superblock;
  }

  /** @throws BlockError */
  get(group: number, options?: RequestOptions): Group | PromiseLike<Group> {
    return this.#known.get(group) ?? this.#read(group, options);
  }

  async #read(group: number, options?: RequestOptions): Promise<Group> {
    const found = await readGroup(this.#pages, this.#superblock, group, options);
    this.#known.set(group, found);
    return found;
  }
}

/** The descriptor of a group, verified. @throws BlockError */
async function readGroup(
  pages: Pages,
  superblock: Superblock,
  group: number,
  options?: RequestOptions,
): Promise<Group> {
  const { blockSize, descriptorSize: size } = superblock;
  const what = `ext: group descriptor ${group}`;
  const perBlock = Math.floor(blockSize / size);
  const block = descriptorBlock(superblock, Math.floor(group / perBlock), perBlock);
  const place = block * blockSize + (group % perBlock) * size;
  const bytes = await pages.structure(what, place, size, options);
  if (superblock.groupChecksum && bytes.readUInt16LE(30) !== checksum(superblock, group, bytes)) {
    throw damaged(what, 'its checksum is wrong');
  }
  const wide = size >= 64;
  const high = (at: number) => (wide ? bytes.readUInt16LE(at) * 65536 : 0);
  const inodeTable = bytes.readUInt32LE(8) + (wide ? bytes.readUInt32LE(40) * 2 ** 32 : 0);
  if (inodeTable >= superblock.blocks) throw damaged(what, `its inodes are at block ${inodeTable}`);
  return {
    inodeTable,
    freeBlocks: bytes.readUInt16LE(12) + high(44),
    freeInodes: bytes.readUInt16LE(14) + high(46),
  };
}

/** Where a block of descriptors lies: all in a row after the superblock, or each in its groups. */
function descriptorBlock(superblock: Superblock, index: number, perBlock: number): number {
  const { blockSize, firstBlock, firstMetaGroup, blocksPerGroup } = superblock;
  const ownBlock = Math.floor(SUPERBLOCK.offset / blockSize);
  if (firstMetaGroup === undefined || index < firstMetaGroup) return ownBlock + 1 + index;
  const group = index * perBlock;
  const start = group === 0 ? ownBlock : firstBlock + group * blocksPerGroup;
  return start + (superblock.hasSuperblock(group) ? 1 : 0);
}

function checksum({ groupChecksum, seed, uuid }: Superblock, group: number, bytes: Buffer): number {
  const parts = [bytes.subarray(0, 30), bytes.subarray(32)];
  if (groupChecksum === 'crc16') {
    const number = Buffer.alloc(4);
    number.writeUInt32LE(group);
    return [uuid, number, ...parts].reduce(crc16, 0xffff);
  }
  const before = crc32c(crc32cOfWord(seed!, group), parts[0]!);
  return crc32c(crc32c(before, Buffer.alloc(2)), parts[1]!) & 0xffff;
}

/** CRC-16 as ANSI has it, reflected. */
function crc16(seed: number, bytes: Uint8Array): number {
  let crc = seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xa001 : 0);
  }
  return crc;
}

/** As the kernel counts: what the file system takes for itself is not there for files. */
export async function readUsage(
  pages: Pages,
  superblock: Superblock,
  journalBlocks: number,
  options?: RequestOptions,
): Promise<Usage> {
  let free = 0;
  let filesFree = 0;
  let overhead = superblock.firstBlock + journalBlocks;
  for (let group = 0; group < superblock.groups; group++) {
    const { freeBlocks, freeInodes } = await readGroup(pages, superblock, group, options);
    free += freeBlocks;
    filesFree += freeInodes;
    overhead += groupOverhead(superblock, group);
  }
  free *= superblock.clusterBlocks;
  const kept = superblock.reserved + keptByKernel(superblock);
  const said = superblock.bytes.readUInt32LE(0x248) * superblock.clusterBlocks;
  return {
    blockSize: superblock.blockSize,
    blocks: BigInt(superblock.blocks - (said || overhead)),
    free: BigInt(free),
    available: BigInt(Math.max(0, free - kept)),
    files: BigInt(superblock.inodes),
    filesFree: BigInt(filesFree),
  };
}

/** What the kernel keeps for extents that have to be split: 2 %, and 4096 clusters at most. */
function keptByKernel({ blocks, clusterBlocks, hasExtents }: Superblock): number {
  const clusters = Math.floor(blocks / clusterBlocks);
  return hasExtents ? Math.min(Math.floor(clusters / 50), 4096) * clusterBlocks : 0;
}

/** Blocks of a group that hold the file system: superblock, descriptors, bitmaps, inodes. */
function groupOverhead(superblock: Superblock, group: number): number {
  const { blockSize, descriptorSize, inodesPerGroup, inodeSize, reservedDescriptors } = superblock;
  const has = superblock.hasSuperblock(group);
  const inodes = Math.ceil((inodesPerGroup * inodeSize) / blockSize);
  return (has ? 1 + reservedDescriptors : 0) + descriptorsIn(superblock, group, has) + inodes + 2;

  function descriptorsIn({ firstMetaGroup, groups }: Superblock, at: number, own: boolean): number {
    const perBlock = Math.floor(blockSize / descriptorSize);
    if (firstMetaGroup !== undefined && Math.floor(at / perBlock) >= firstMetaGroup) {
      return [0, 1, perBlock - 1].includes(at % perBlock) ? 1 : 0;
    }
    return own ? (firstMetaGroup ?? Math.ceil(groups / perBlock)) : 0;
  }
}
