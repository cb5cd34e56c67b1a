import { randomBytes } from 'node:crypto';
import { BlockError } from '../../block/errors.ts';

/** The header of VirtualBox's disk images, version 1.1; all numbers are little-endian. */
export interface VdiHeader {
  /** Whether all blocks have their room from the beginning. */
  readonly static: boolean;
  /** Where the table and the data begin, in bytes. */
  readonly tableAt: number;
  readonly dataAt: number;
  /** Bytes of the disk. */
  readonly size: bigint;
  /** Bytes of a block, and how many there are. */
  readonly block: number;
  readonly blocks: number;
  /** How many of them have room in the file. */
  readonly allocated: number;
}

export const VDI_HEADER = 512;
export const VDI_BLOCK = 1 << 20;
/** Where the header says how many blocks are allocated. */
export const ALLOCATED_AT = 388;
const SIGNATURE = 0xbeda107f;
const VERSION = 0x00010001;
const TEXT = '<<< nbdpipe Virtual Disk Image >>>\n';
/** So many as qemu takes: 512 TiB. */
const MOST_BLOCKS = 0x20000000;
const [DYNAMIC, STATIC] = [1, 2];
const [LINK_UUID, PARENT_UUID, UUID_BYTES] = [424, 440, 16];

const wrong = (what: string) => new BlockError('EINVAL', `vdi: ${what}`);

/** @throws BlockError EINVAL what is wrong; ENOTSUP for images over others. */
export function parseVdi(bytes: Buffer): VdiHeader {
  if (bytes.readUInt32LE(64) !== SIGNATURE) throw wrong('the file is no VDI image');
  const version = bytes.readUInt32LE(68);
  if (version !== VERSION) {
    const words = `version ${version >>> 16}.${version & 0xffff}`;
    throw new BlockError('ENOTSUP', `vdi: ${words} is not supported: expected 1.1`);
  }
  const type = bytes.readUInt32LE(76);
  const isNone = (at: number) => bytes.subarray(at, at + UUID_BYTES).every(byte => byte === 0);
  if (!isNone(LINK_UUID) || !isNone(PARENT_UUID) || (type !== DYNAMIC && type !== STATIC)) {
    throw new BlockError('ENOTSUP', `vdi: images over others (type ${type}) are not supported`);
  }
  const header = {
    static: type === STATIC,
    tableAt: bytes.readUInt32LE(340),
    dataAt: bytes.readUInt32LE(344),
    size: bytes.readBigUInt64LE(368),
    block: bytes.readUInt32LE(376),
    blocks: bytes.readUInt32LE(384),
    allocated: bytes.readUInt32LE(ALLOCATED_AT),
  };
  check(header, { sector: bytes.readUInt32LE(360), extra: bytes.readUInt32LE(380) });
  return header;
}

function check(header: VdiHeader, { sector, extra }: { sector: number; extra: number }): void {
  const { tableAt, dataAt, size, block, blocks } = header;
  if (sector !== 512) throw wrong(`sectors of ${sector} bytes: expected 512`);
  if (block < 4096 || block > 1 << 28 || (block & (block - 1)) !== 0) {
    throw wrong(`blocks of ${block} bytes: expected a power of two from 4096 to 256 MiB`);
  }
  if (extra !== 0) throw wrong(`${extra} bytes beside each block are not supported`);
  if (blocks > MOST_BLOCKS) throw wrong(`${blocks} blocks: expected at most ${MOST_BLOCKS}`);
  if (size > BigInt(blocks) * BigInt(block)) {
    throw wrong(`a disk of ${size} bytes does not fit into ${blocks} blocks of ${block}`);
  }
  if (tableAt < VDI_HEADER || tableAt % 512 !== 0) throw wrong(`the table is at byte ${tableAt}`);
  if (dataAt < tableAt + blocks * 4 || dataAt % 512 !== 0) {
    throw wrong(`the data is at byte ${dataAt}, where the table is or between sectors`);
  }
}

/** The header of a new image. */
export function newVdi(size: bigint, isStatic: boolean): VdiHeader {
  const blocks = Number((size + BigInt(VDI_BLOCK - 1)) / BigInt(VDI_BLOCK));
  if (size > BigInt(MOST_BLOCKS) * BigInt(VDI_BLOCK)) {
    throw wrong(`a disk of ${size} bytes is too large: expected at most 512 TiB`);
  }
  const table = Math.ceil((blocks * 4) / 512) * 512;
  return {
    static: isStatic,
    tableAt: VDI_HEADER,
    dataAt: VDI_HEADER + table,
    size,
    block: VDI_BLOCK,
    blocks,
    allocated: isStatic ? blocks : 0,
  };
}

export function vdiBytes(header: VdiHeader): Buffer {
  const bytes = Buffer.alloc(VDI_HEADER);
  bytes.write(TEXT, 'latin1');
  bytes.writeUInt32LE(SIGNATURE, 64);
  bytes.writeUInt32LE(VERSION, 68);
  bytes.writeUInt32LE(0x180, 72);
  bytes.writeUInt32LE(header.static ? STATIC : DYNAMIC, 76);
  bytes.writeUInt32LE(header.tableAt, 340);
  bytes.writeUInt32LE(header.dataAt, 344);
  bytes.writeUInt32LE(512, 360);
  bytes.writeBigUInt64LE(header.size, 368);
  bytes.writeUInt32LE(header.block, 376);
  bytes.writeUInt32LE(header.blocks, 384);
  bytes.writeUInt32LE(header.allocated, ALLOCATED_AT);
  // Of the image, and of its last snapshot.
  randomBytes(2 * UUID_BYTES).copy(bytes, 392);
  return bytes;
}
