import { crc32c } from '../../../block/crc32c.ts';
import { damaged, MOST_ENTRIES } from '../damaged.ts';
import { nameOf } from '../names.ts';

/** A name and the inode that it stands for. */
export interface Named {
  readonly name: string;
  readonly inode: number;
}

const HEADER = 8;
const TAIL = 12;
const TAIL_TYPE = 0xde;

/**
 * The names in one block of a directory, or in a part of an inode; the nodes of hash trees look like
 * blocks without names. `.` and `..` are left out.
 * @param seed of the checksum in the last 12 bytes, where they hold one.
 * @throws BlockError EIO
 */
export function namesIn(block: Buffer, what: string, seed: number | undefined): Named[] {
  const found: Named[] = [];
  for (let at = 0; at < block.length; ) {
    if (at + HEADER > block.length) throw damaged(what, 'an entry is cut short');
    const length = entryLength(block.readUInt16LE(at + 4), block.length);
    const nameLength = block[at + 6]!;
    const wrong = length < HEADER || length % 4 !== 0 || at + length > block.length;
    if (wrong) throw damaged(what, `an entry of ${length} bytes`);
    if (HEADER + nameLength > length) throw damaged(what, 'a name is longer than its entry');
    const inode = block.readUInt32LE(at);
    if (inode === 0 && at === block.length - TAIL) verify(block, what, seed);
    if (inode !== 0 && nameLength > 0) {
      const name = nameOf(block.subarray(at + HEADER, at + HEADER + nameLength));
      if (name !== '.' && name !== '..') found.push({ name, inode });
    }
    at += length;
  }
  return found;
}

/** In blocks of 64 KiB the length of an entry is packed into 16 bits. */
function entryLength(said: number, blockSize: number): number {
  if (blockSize < 65536) return said;
  if (said === 0xffff || said === 0) return blockSize;
  return (said & 0xfffc) | ((said & 3) << 16);
}

/** Nodes of hash trees may have at their end what was a checksum before. */
function verify(block: Buffer, what: string, seed: number | undefined): void {
  const tail = block.length - TAIL;
  if (seed === undefined || block[tail + 7] !== TAIL_TYPE) return;
  if (crc32c(seed, block.subarray(0, tail)) !== block.readUInt32LE(tail + 8)) {
    throw damaged(what, 'the checksum of a block is wrong');
  }
}

/** @throws BlockError EIO there are more names than a directory may have. */
export function checkCount(count: number, what: string): void {
  if (count > MOST_ENTRIES) throw damaged(what, `it has more than ${MOST_ENTRIES} entries`);
}
