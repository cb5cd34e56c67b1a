import { damaged } from '../damaged.ts';
import { nameOf } from '../names.ts';
import { checksumOf, type Superblock } from './superblock.ts';

/** A name and the inode that it stands for. */
export interface Named {
  readonly name: string;
  readonly inode: bigint;
}

/** What of a directory's addresses holds names; hashes and free space are past it. */
export const NAMES_END = 32n << 30n;
const FREE = 0xffff;
const HEADER = { old: 16, checked: 64 } as const;

/** The names of a directory that is in its inode. @throws BlockError EIO */
export function shortNames(fork: Buffer, what: string, fileTypes: boolean): Named[] {
  const cut = () => damaged(what, 'it is cut short');
  if (fork.length < 6) throw cut();
  const [small, large] = [fork[0]!, fork[1]!];
  const width = large > 0 ? 8 : 4;
  const found: Named[] = [];
  // One of the counts is that of all entries: the other says which size their numbers have.
  const count = large > 0 ? large : small;
  let at = 2 + width;
  for (let index = 0; index < count; index++) {
    if (at + 3 > fork.length) throw cut();
    const nameEnd = at + 3 + fork[at]!;
    const numberAt = nameEnd + (fileTypes ? 1 : 0);
    if (numberAt + width > fork.length) throw cut();
    const inode =
      width === 8 ? fork.readBigUInt64BE(numberAt) : BigInt(fork.readUInt32BE(numberAt));
    found.push({ name: nameOf(fork.subarray(at + 3, nameEnd)), inode });
    at = numberAt + width;
  }
  return found;
}

/** The names in a block of a directory, without `.` and `..`. @throws BlockError EIO */
export function namesIn(block: Buffer, what: string, superblock: Superblock): Named[] {
  const { checksums, fileTypes } = superblock;
  const magic = block.toString('latin1', 0, 4);
  const single = magic === (checksums ? 'XDB3' : 'XD2B');
  if (!single && magic !== (checksums ? 'XDD3' : 'XD2D'))
    throw damaged(what, 'the magic number of a block is missing');
  if (checksums && checksumOf(block, 4) !== block.readUInt32LE(4)) {
    throw damaged(what, 'the checksum of a block is wrong');
  }
  const end = single ? block.length - 8 - 8 * block.readUInt32BE(block.length - 8) : block.length;
  const found: Named[] = [];
  for (let at: number = checksums ? HEADER.checked : HEADER.old; at < end; ) {
    if (at + 4 <= end && block.readUInt16BE(at) === FREE) {
      const length = block.readUInt16BE(at + 2);
      if (length < 8 || length % 8 !== 0) throw damaged(what, `free space of ${length} bytes`);
      at += length;
      continue;
    }
    if (at + 12 > end) throw damaged(what, 'an entry is cut short');
    const nameEnd = at + 9 + block[at + 8]!;
    if (nameEnd + 2 > end) throw damaged(what, 'a name is longer than its block');
    const name = nameOf(block.subarray(at + 9, nameEnd));
    if (name !== '.' && name !== '..') found.push({ name, inode: block.readBigUInt64BE(at) });
    at = (nameEnd + (fileTypes ? 1 : 0) + 2 + 7) & ~7;
  }
  return found;
}
