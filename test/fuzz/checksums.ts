/** Checksums of structures on disks, made right again after these were damaged. */
import { crc32 } from 'node:zlib';
import { crc32c, crc32cOfWord } from '../../src/block/crc32c.ts';
import type { OverlayMemory } from '../peer/overlay-memory.ts';
import type { Repair } from './damage.ts';

/** A structure of some size, aligned to it. */
interface SumForm {
  readonly size: number;
  /** Puts the checksum in its place. @param at where on the disk it is. */
  put(bytes: Buffer, at: number): void;
}

/** Makes that structure's right in which a place lies, if it was right before. */
function inForms(forms: readonly SumForm[]): Repair {
  return (disk, place) => {
    for (const { size, put } of forms) {
      const start = place - (place % size);
      const old = disk.base.subarray(start, start + size);
      if (old.length < size) continue;
      const right = Buffer.from(old);
      put(right, start);
      if (!right.equals(old)) continue;
      disk.change(start, size, bytes => put(bytes, start));
      return;
    }
  };
}

const usual = (bytes: Uint8Array) => ~crc32c(~0, bytes) >>> 0;

/** A sum over the whole structure, whose own bytes count as zeroes. */
const wholeForm = (size: number, at: number): SumForm => ({
  size,
  put(bytes) {
    bytes.writeUInt32LE(0, at);
    bytes.writeUInt32LE(usual(bytes), at);
  },
});

const btrfsForm = (size: number): SumForm => ({
  size,
  put: bytes => bytes.writeUInt32LE(usual(bytes.subarray(32)), 0),
});

/** Of superblock, headers of allocation groups, directories, trees, inodes, links: by their places. */
const XFS_PLACES = [4, 12, 16, 32, 52, 64, 100, 216, 224, 312] as const;

/** Those of ext4 with blocks of 4096 bytes begin with what the owner is. */
function ext4Forms(disk: Buffer): SumForm[] {
  const superblock = disk.subarray(1024, 2048);
  const seed = crc32c(~0, superblock.subarray(0x68, 0x78));
  const [perGroup, size] = [superblock.readUInt32LE(40), superblock.readUInt16LE(88)];
  const table = disk.readUInt32LE(4096 + 8) * 4096;
  const inodeSeed = (number: number, bytes: Buffer) =>
    crc32cOfWord(crc32cOfWord(seed, number), bytes.readUInt32LE(100));
  const owners = new Map<number, number>();
  const inodeForm: SumForm = {
    size,
    put(bytes, at) {
      const number = (at - table) / size + 1;
      if (!(number >= 1 && number <= perGroup) || bytes.readUInt16LE(128) < 4) return spoil(bytes);
      bytes.writeUInt16LE(0, 124);
      bytes.writeUInt16LE(0, 130);
      const sum = crc32c(inodeSeed(number, bytes), bytes);
      bytes.writeUInt16LE(sum & 0xffff, 124);
      bytes.writeUInt16LE(sum >>> 16, 130);
    },
  };
  for (let number = 1; number <= perGroup; number++) {
    const inode = disk.subarray(table + (number - 1) * size, table + number * size);
    const [flags, at] = [inode.readUInt32LE(32), inode.readUInt32LE(60) * 4096];
    // The first extent of a directory, or the first node of a tree.
    const isTree = inode.readUInt16LE(46) > 0;
    if ((flags & 0x80000) === 0) continue;
    owners.set(isTree ? inode.readUInt32LE(56) * 4096 : at, inodeSeed(number, inode));
  }
  const groupForm: SumForm = {
    size: superblock.readUInt16LE(0xfe) || 32,
    put(bytes, at) {
      bytes.writeUInt16LE(0, 30);
      const start = crc32cOfWord(seed, (at - 4096) / bytes.length);
      bytes.writeUInt16LE(crc32c(start, bytes) & 0xffff, 30);
    },
  };
  const blockForm = (end: number): SumForm => ({
    size: 4096,
    put(bytes, at) {
      const owner = owners.get(at);
      if (owner === undefined) return spoil(bytes);
      bytes.writeUInt32LE(crc32c(owner, bytes.subarray(0, end === 4096 ? 4092 : end)), 4092);
    },
  });
  const superForm: SumForm = {
    size: 1024,
    put: bytes => bytes.writeUInt32LE(crc32c(~0, bytes.subarray(0, 1020)), 1020),
  };
  return [superForm, groupForm, inodeForm, blockForm(4084), blockForm(4096)];
}

/** Nothing of this form is here. */
const spoil = (bytes: Buffer) => void bytes.fill(0xa5);

const LONGEST_TABLE = 1 << 20;

/** The first header of a GPT and the sum of its entries. */
function repairGpt(disk: OverlayMemory): void {
  disk.change(512, 512, header => {
    const at = Number(header.readBigUInt64LE(72)) * 512;
    const bytes = header.readUInt32LE(80) * header.readUInt32LE(84);
    const length = header.readUInt32LE(12);
    if (bytes <= LONGEST_TABLE && at + bytes <= disk.base.length)
      header.writeUInt32LE(crc32(disk.read(BigInt(at), bytes)), 88);
    if (length > 512) return;
    header.writeUInt32LE(0, 16);
    header.writeUInt32LE(crc32(header.subarray(0, length)), 16);
  });
}

const LVM_SEED = 0xf597a6cf;
const lvmSum = (bytes: Uint8Array) => ~crc32(bytes, ~LVM_SEED >>> 0) >>> 0;
const AREA = 4096;

/** Those of the label, of the header of the metadata and of its text. */
function repairLvm(disk: OverlayMemory): void {
  disk.change(512, 512, label => label.writeUInt32LE(lvmSum(label.subarray(20)), 16));
  disk.change(AREA, 512, header => {
    const [offset, length] = [40, 48].map(at => Number(header.readBigUInt64LE(at)));
    const text = AREA + offset!;
    if (text + length! <= disk.base.length)
      header.writeUInt32LE(lvmSum(disk.read(BigInt(text), length!)), 56);
    header.writeUInt32LE(lvmSum(header.subarray(4)), 0);
  });
}

const forms =
  (...all: readonly SumForm[]) =>
  () =>
    inForms(all);

/** What makes them right, by what is on the disk. */
export const REPAIRS: Readonly<Record<string, (disk: Buffer) => Repair>> = {
  btrfs: forms(btrfsForm(4096), btrfsForm(16384)),
  xfs: forms(...[512, 4096].flatMap(size => XFS_PLACES.map(at => wholeForm(size, at)))),
  ext4: disk => inForms(ext4Forms(disk)),
  GPT: () => repairGpt,
  LVM: () => repairLvm,
};
