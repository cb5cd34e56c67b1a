import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import { nameOf } from '../names.ts';
import { type AclEntry, aclBytes } from '../posix-acl.ts';
import { checksumOf, type Superblock } from './superblock.ts';

const FLAG = { local: 1, root: 2, secure: 4, parent: 8, incomplete: 0x80 } as const;
const ACLS: Readonly<Record<string, string>> = {
  'trusted.SGI_ACL_FILE': 'system.posix_acl_access',
  'trusted.SGI_ACL_DEFAULT': 'system.posix_acl_default',
};
const ACL_ENTRY = 12;
/** Headers of blocks in version 4 and 5. */
const LEAF = {
  old: { magic: 0xfbee, count: 12, end: 32 },
  checked: { magic: 0x3bee, count: 56, end: 80 },
};
const NODE = {
  old: { magic: 0xfebe, count: 12, end: 16 },
  checked: { magic: 0x3ebe, count: 56, end: 64 },
};
const VALUE = { magic: 'XARM', end: 56 } as const;
const ENTRY = 8;
/** Bytes before a name. */
const HEAD = { local: 3, remote: 9 } as const;
const DEEPEST = 5;
const LONGEST = 64 << 10;
/** Bytes of all values of one file. */
const MOST = 16 << 20;

type Attributes = Map<string, Buffer>;

/** Those in the inode itself. @throws BlockError EIO */
export function shortAttributes(fork: Buffer, what: string): Attributes {
  const cut = () => damaged(what, 'they are cut short');
  if (fork.length < 4) throw cut();
  const found: Attributes = new Map();
  let at = 4;
  for (let left = fork[2]!; left > 0; left--) {
    if (at + 3 > fork.length) throw cut();
    const nameEnd = at + 3 + fork[at]!;
    const end = nameEnd + fork[at + 1]!;
    if (end > fork.length) throw cut();
    add(found, fork[at + 2]!, fork.subarray(at + 3, nameEnd), fork.subarray(nameEnd, end));
    at = end;
  }
  return found;
}

/** Names as the kernel gives them; parents of files and what is half written are no attributes. */
function add(found: Attributes, flags: number, name: Buffer, value: Buffer): void {
  if (flags & (FLAG.parent | FLAG.incomplete)) return;
  const prefix = flags & FLAG.root ? 'trusted.' : flags & FLAG.secure ? 'security.' : 'user.';
  const whole = prefix + nameOf(name);
  const acl = ACLS[whole];
  if (acl) found.set(acl, aclOf(value));
  else found.set(whole, Buffer.from(value));
}

function aclOf(value: Buffer): Buffer {
  const entries: AclEntry[] = [];
  for (let at = 4; at + ACL_ENTRY <= value.length; at += ACL_ENTRY) {
    const [tag, id] = [value.readUInt32BE(at) & 0xffff, value.readUInt32BE(at + 4)];
    entries.push({ tag, id, permissions: value.readUInt16BE(at + 8) });
  }
  return aclBytes(entries);
}

/** The attributes of a file in blocks of their own: a tree, of which the leaves are in a chain. */
export class AttributeBlocks {
  readonly #content: BlockDevice;
  readonly #superblock: Superblock;
  readonly #inode: bigint;
  readonly #what: string;
  #size = 0;

  /** @param content of the fork of attributes. */
  constructor(content: BlockDevice, superblock: Superblock, inode: bigint, what: string) {
    this.#content = content;
    this.#superblock = superblock;
    this.#inode = inode;
    this.#what = what;
  }

  /** @throws BlockError */
  async all(options?: RequestOptions): Promise<Attributes> {
    const found: Attributes = new Map();
    const seen = new Set<number>();
    for (let at = await this.#firstLeaf(options); !seen.has(at); ) {
      seen.add(at);
      const leaf = await this.#block(at, options);
      await this.#leaf(leaf, found, options);
      at = leaf.readUInt32BE(0);
      if (at === 0) return found;
    }
    throw damaged(this.#what, 'their blocks are in a circle');
  }

  async #firstLeaf(options?: RequestOptions): Promise<number> {
    const { magic, count, end } = this.#of(NODE);
    let at = 0;
    for (let level = 0; level < DEEPEST; level++) {
      const block = await this.#block(at, options);
      if (block.readUInt16BE(8) !== magic) return at;
      if (block.readUInt16BE(count) === 0) throw damaged(this.#what, 'a node is empty');
      at = block.readUInt32BE(end + 4);
    }
    throw damaged(this.#what, `they are more than ${DEEPEST} levels deep`);
  }

  #of<T>({ old, checked }: { readonly old: T; readonly checked: T }): T {
    return this.#superblock.checksums ? checked : old;
  }

  async #leaf(leaf: Buffer, found: Attributes, options?: RequestOptions): Promise<void> {
    const { magic, count: countAt, end: first } = this.#of(LEAF);
    if (leaf.readUInt16BE(8) !== magic)
      throw damaged(this.#what, 'the magic number of a block is missing');
    const count = leaf.readUInt16BE(countAt);
    if (first + count * ENTRY > leaf.length)
      throw damaged(this.#what, `a block of ${count} entries`);
    for (let index = 0; index < count; index++) {
      const at = first + index * ENTRY;
      const [place, flags] = [leaf.readUInt16BE(at + 4), leaf[at + 6]!];
      const head = flags & FLAG.local ? HEAD.local : HEAD.remote;
      if (place + head > leaf.length) throw damaged(this.#what, 'an entry is outside of its block');
      if (flags & FLAG.local) this.#local(leaf, place, flags, found);
      else await this.#remote(leaf, place, flags, { found, options });
    }
  }

  #local(leaf: Buffer, place: number, flags: number, found: Attributes): void {
    const nameEnd = place + HEAD.local + leaf[place + 2]!;
    const end = nameEnd + leaf.readUInt16BE(place);
    if (end > leaf.length) throw damaged(this.#what, 'a value is longer than its block');
    this.#count(end - nameEnd);
    add(found, flags, leaf.subarray(place + HEAD.local, nameEnd), leaf.subarray(nameEnd, end));
  }

  async #remote(
    leaf: Buffer,
    place: number,
    flags: number,
    { found, options }: { found: Attributes; options: RequestOptions | undefined },
  ): Promise<void> {
    const nameEnd = place + HEAD.remote + leaf[place + 8]!;
    if (nameEnd > leaf.length) throw damaged(this.#what, 'a name is longer than its block');
    if (flags & FLAG.incomplete) return;
    const [block, length] = [leaf.readUInt32BE(place), leaf.readUInt32BE(place + 4)];
    if (length > LONGEST) throw damaged(this.#what, `a value of ${length} bytes`);
    this.#count(length);
    const value = await this.#value(block, length, options);
    add(found, flags, leaf.subarray(place + HEAD.remote, nameEnd), value);
  }

  #count(length: number): void {
    this.#size += length;
    if (this.#size > MOST) throw damaged(this.#what, `they have more than ${MOST} bytes`);
  }

  async #block(at: number, options?: RequestOptions): Promise<Buffer> {
    const block = await this.#read(at, 1, options);
    if (!this.#superblock.checksums) return block;
    if (checksumOf(block, 12) !== block.readUInt32LE(12))
      throw damaged(this.#what, 'the checksum of a block is wrong');
    if (block.readBigUInt64BE(48) !== this.#inode)
      throw damaged(this.#what, 'a block is of another inode');
    return block;
  }

  /** In version 5 each block of a value has a header. */
  async #value(first: number, length: number, options?: RequestOptions): Promise<Buffer> {
    const { checksums, blockSize } = this.#superblock;
    const header = checksums ? VALUE.end : 0;
    const blocks = Math.ceil(length / (blockSize - header));
    const bytes = await this.#read(first, blocks, options);
    if (!checksums) return bytes.subarray(0, length);
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += blockSize) {
      const block = bytes.subarray(at, at + blockSize);
      if (block.toString('latin1', 0, 4) !== VALUE.magic)
        throw damaged(this.#what, 'the magic number of a value is missing');
      if (checksumOf(block, 12) !== block.readUInt32LE(12))
        throw damaged(this.#what, 'the checksum of a value is wrong');
      if (block.readBigUInt64BE(32) !== this.#inode)
        throw damaged(this.#what, 'a value is of another inode');
      parts.push(block.subarray(VALUE.end));
    }
    return Buffer.concat(parts).subarray(0, length);
  }

  async #read(block: number, count: number, options?: RequestOptions): Promise<Buffer> {
    const { blockSize } = this.#superblock;
    if (count === 0) return Buffer.alloc(0);
    const at = BigInt(block) * BigInt(blockSize);
    const read = contiguous(await this.#content.read(at, count * blockSize, options));
    return Buffer.from(read.buffer, read.byteOffset, read.length);
  }
}
