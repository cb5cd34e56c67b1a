import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Stat } from '../file-system.ts';
import type { Pages } from '../pages.ts';
import { typeOfMode } from '../posix-mode.ts';
import { checksumOf, placeOf, type Superblock } from './superblock.ts';

/** How the content of a fork is kept. */
export type Format = 'device' | 'local' | 'extents' | 'btree';

const FORMATS: readonly Format[] = ['device', 'local', 'extents', 'btree'];
const CORE = { old: 100, checked: 176 } as const;
const FLAG = { realtime: 1 } as const;
const FLAG_2 = { bigTime: 8n, manyExtents: 16n } as const;

/** What belongs to an inode in extents of its own, or in itself. */
export interface Fork {
  /** Of its inode. */
  readonly number: bigint;
  readonly format: Format;
  readonly fork: Buffer;
  readonly extents: number;
}

/** An inode, verified; it is the fork of its data. */
export interface Inode extends Fork {
  readonly stat: Stat;
  readonly realtime: boolean;
  /** Its extended attributes. */
  readonly attributes: Fork | undefined;
}

/** @throws BlockError */
export async function readInode(
  pages: Pages,
  superblock: Superblock,
  number: bigint,
  options?: RequestOptions,
): Promise<Inode> {
  const what = `xfs: inode ${number}`;
  const { inodeBits, inodeSize, inodesPerBlock, checksums } = superblock;
  const block = placeOf(superblock, number >> BigInt(inodeBits), what);
  const place = block + Number(number & BigInt(inodesPerBlock - 1)) * inodeSize;
  const bytes = await pages.structure(what, place, inodeSize, options);
  if (bytes.toString('latin1', 0, 2) !== 'IN') throw damaged(what, 'its magic number is missing');
  const version = bytes[4]!;
  if (checksums) verify(what, bytes, number, version);
  const core = version === 3 ? CORE.checked : CORE.old;
  const forkEnd = bytes[82]! === 0 ? inodeSize : core + bytes[82]! * 8;
  if (forkEnd > inodeSize) throw damaged(what, 'its data fork is longer than it');
  const format = FORMATS[bytes[5]!];
  if (!format) throw damaged(what, `its content is of kind ${bytes[5]}`);
  const attributeFormat = FORMATS[bytes[83]!];
  if (!attributeFormat) throw damaged(what, `its attributes are of kind ${bytes[83]}`);
  const flags2 = version === 3 ? bytes.readBigUInt64BE(120) : 0n;
  const many = (flags2 & FLAG_2.manyExtents) !== 0n;
  const extents = many ? Number(bytes.readBigUInt64BE(24)) : bytes.readUInt32BE(76);
  const fork = bytes.subarray(core, forkEnd);
  return {
    number,
    stat: statOf(bytes, number, superblock, (flags2 & FLAG_2.bigTime) !== 0n, fork),
    format,
    fork,
    extents,
    realtime: (bytes.readUInt16BE(90) & FLAG.realtime) !== 0,
    attributes:
      forkEnd === inodeSize
        ? undefined
        : {
            number,
            format: attributeFormat,
            fork: bytes.subarray(forkEnd, inodeSize),
            extents: many ? bytes.readUInt32BE(76) : bytes.readUInt16BE(80),
          },
  };
}

function verify(what: string, bytes: Buffer, number: bigint, version: number): void {
  if (version !== 3) throw damaged(what, `it is of version ${version}`);
  if (checksumOf(bytes, 100) !== bytes.readUInt32LE(100))
    throw damaged(what, 'its checksum is wrong');
  if (bytes.readBigUInt64BE(152) !== number) throw damaged(what, 'another one is in its place');
}

function statOf(
  bytes: Buffer,
  number: bigint,
  { blockSize }: Superblock,
  bigTime: boolean,
  fork: Buffer,
): Stat {
  const mode = bytes.readUInt16BE(2);
  const type = typeOfMode(mode);
  const time = bigTime ? bigTimeAt : smallTimeAt;
  const special = type === 'character' || type === 'block';
  return {
    type,
    mode: mode & 0o7777,
    links: bytes[4] === 1 ? bytes.readUInt16BE(6) : bytes.readUInt32BE(16),
    uid: bytes.readUInt32BE(8),
    gid: bytes.readUInt32BE(12),
    size: bytes.readBigUInt64BE(56),
    blocks: bytes.readBigUInt64BE(64) * BigInt(blockSize / 512),
    atime: time(bytes, 32),
    mtime: time(bytes, 40),
    ctime: time(bytes, 48),
    inode: number,
    device: special && fork.length >= 4 ? deviceOf(fork.readUInt32BE(0)) : undefined,
  };
}

function smallTimeAt(bytes: Buffer, at: number): bigint {
  return BigInt(bytes.readInt32BE(at)) * 1_000_000_000n + BigInt(bytes.readInt32BE(at + 4));
}

/** Nanoseconds since the first second that 32 bits can say. */
function bigTimeAt(bytes: Buffer, at: number): bigint {
  return bytes.readBigUInt64BE(at) - (1n << 31n) * 1_000_000_000n;
}

/** 14 bits and 18 bits. */
const deviceOf = (word: number) => ({ major: word >>> 18, minor: word & 0x3ffff });
