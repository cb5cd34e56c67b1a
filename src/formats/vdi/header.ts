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
/** So many as qemu takes: almost 512 TiB. */
const MOST_BLOCKS = 0x1fffff80;
const MOST_SIZE = BigInt(MOST_BLOCKS) * BigInt(1 << 20);
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
    // VirtualBox makes odd ones.
    size: ((bytes.readBigUInt64LE(368) + 511n) / 512n) * 512n,
    block: bytes.readUInt32LE(376),
    blocks: bytes.readUInt32LE(384),
    allocated: bytes.readUInt32LE(ALLOCATED_AT),
  };
  check(header, { sector: bytes.readUInt32LE(360), extra: bytes.readUInt32LE(380) });
  return header;
}

/** In the words of qemu, where it has some. */
function check(header: VdiHeader, { sector, extra }: { sector: number; extra: number }): void {
  const { tableAt, dataAt, size, block, blocks } = header;
  const unsupported = (what: string) =>
    new BlockError('ENOTSUP', `unsupported VDI image (${what})`);
  checkSize(size);
  if (sector !== 512) throw unsupported(`sector size ${sector} is not 512`);
  if (block < 4096 || block > 1 << 28 || (block & (block - 1)) !== 0) {
    throw unsupported(`block size ${block} is not ${VDI_BLOCK}`);
  }
  if (extra !== 0) throw unsupported(`${extra} bytes beside each block`);
  const room = BigInt(blocks) * BigInt(block);
  if (size > room) {
    throw unsupported(`disk size ${size}, image bitmap has room for ${room}`);
  }
  if (blocks > MOST_BLOCKS) {
    throw unsupported(`too many blocks ${blocks}, max is ${MOST_BLOCKS}`);
  }
  if (tableAt < VDI_HEADER || tableAt % 512 !== 0) throw wrong(`the table is at byte ${tableAt}`);
  if (dataAt % 512 !== 0) throw wrong(`the data is at byte ${dataAt}, between sectors`);
}

function checkSize(size: bigint): void {
  if (size <= MOST_SIZE) return;
  const words = `size is 0x${size.toString(16)}, max supported is 0x${MOST_SIZE.toString(16)}`;
  throw new BlockError('ENOTSUP', `Unsupported VDI image size (${words})`);
}

/** Before anything is written. @throws BlockError EINVAL data lies over the table. */
export function checkPlaces({ tableAt, dataAt, blocks }: VdiHeader): void {
  if (dataAt < tableAt + blocks * 4) throw wrong(`the data is at byte ${dataAt}, in the table`);
}

/** The header of a new image. */
export function newVdi(wanted: bigint, isStatic: boolean): VdiHeader {
  const size = ((wanted + 511n) / 512n) * 512n;
  checkSize(size);
  const blocks = Number((size + BigInt(VDI_BLOCK - 1)) / BigInt(VDI_BLOCK));
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
