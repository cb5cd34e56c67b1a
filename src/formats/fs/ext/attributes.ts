import { crc32c } from '../../../block/crc32c.ts';
import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import { nameOf } from '../names.ts';
import type { Pages } from '../pages.ts';
import { type AclEntry, aclBytes, isNamed } from '../posix-acl.ts';
import type { Inode } from './inode.ts';
import type { Superblock } from './superblock.ts';

const MAGIC = 0xea020000;
const PREFIXES: Readonly<Record<number, string>> = {
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
  7: 'system.',
  8: 'system.richacl',
};
/** Entries of a block begin after its header, those of an inode after the magic number. */
const BLOCK_HEADER = 32;

/** An attribute as it stands in a list. */
interface Attribute {
  readonly name: string;
  /** Where its value is: in the list, or the content of another inode. */
  readonly value: Buffer | { readonly inode: number; readonly size: number };
}

/** Those in the inode itself and those in its block. @throws BlockError */
export async function readAttributes(
  pages: Pages,
  superblock: Superblock,
  inode: Inode,
  options?: RequestOptions,
): Promise<readonly Attribute[]> {
  const what = `ext: extended attributes of inode ${inode.number}`;
  const own = inode.bytes.subarray(128 + inode.extra);
  const inInode = own.length >= 4 && own.readUInt32LE(0) === MAGIC;
  const list = inInode ? attributesIn(own.subarray(4), 0, what) : [];
  const { attributeBlock: at } = inode;
  if (at === 0) return list;
  if (at >= superblock.blocks) throw damaged(what, `they are in block ${at}`);
  const { blockSize } = superblock;
  const block = await pages.structure(what, at * blockSize, blockSize, options);
  if (block.readUInt32LE(0) !== MAGIC) throw damaged(what, 'their magic number is missing');
  verify(block, at, superblock, what);
  return [...list, ...attributesIn(block, BLOCK_HEADER, what)];
}

function verify(block: Buffer, at: number, { seed }: Superblock, what: string): void {
  if (seed === undefined) return;
  const place = Buffer.alloc(8);
  place.writeBigUInt64LE(BigInt(at));
  const zeroed = Buffer.from(block);
  zeroed.writeUInt32LE(0, 16);
  if (crc32c(crc32c(seed, place), zeroed) !== block.readUInt32LE(16)) {
    throw damaged(what, 'their checksum is wrong');
  }
}

/** @param list values are found from its start, entries from `first` on. */
function attributesIn(list: Buffer, first: number, what: string): Attribute[] {
  const found: Attribute[] = [];
  for (let at = first; at + 4 <= list.length && list.readUInt32LE(at) !== 0; ) {
    if (at + 16 > list.length) throw damaged(what, 'an entry is cut short');
    const nameLength = list[at]!;
    const end = at + 16 + nameLength;
    const [place, inode, size] = [
      list.readUInt16LE(at + 2),
      list.readUInt32LE(at + 4),
      list.readUInt32LE(at + 8),
    ];
    const inside = inode !== 0 || place + size <= list.length;
    if (end > list.length || !inside) throw damaged(what, 'an entry reaches past its end');
    const name = (PREFIXES[list[at + 1]!] ?? '') + nameOf(list.subarray(at + 16, end));
    const value = inode === 0 ? list.subarray(place, place + size) : { inode, size };
    found.push({ name, value });
    at = (end + 3) & ~3;
  }
  return found;
}

const ACL_VERSION = 1;
const ACL_NAME = /^system\.posix_acl_(access|default)$/;

/** A value as the kernel gives it: access control lists are shorter on the disk. @throws BlockError EIO */
export function shownValue(name: string, value: Buffer, what: string): Buffer {
  if (!ACL_NAME.test(name)) return value;
  const cut = () => damaged(what, 'an access control list is cut short');
  if (value.length < 4) throw cut();
  if (value.readUInt32LE(0) !== ACL_VERSION)
    throw damaged(what, `an access control list of version ${value.readUInt32LE(0)}`);
  const entries: AclEntry[] = [];
  for (let at = 4; at < value.length; ) {
    if (at + 4 > value.length) throw cut();
    const [tag, permissions] = [value.readUInt16LE(at), value.readUInt16LE(at + 2)];
    at += 4;
    if (isNamed(tag) && at + 4 > value.length) throw cut();
    entries.push({ tag, permissions, id: isNamed(tag) ? value.readUInt32LE(at) : 0 });
    if (isNamed(tag)) at += 4;
  }
  return aclBytes(entries);
}
