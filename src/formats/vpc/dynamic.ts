import { BlockError } from '../../block/errors.ts';
import { utf16 } from '../../images/parents.ts';
import { checksum, FOOTER, wrong } from './footer.ts';

/** The header of a disk that grows; all numbers are big-endian. */
export interface DynamicHeader {
  /** Where the table is, in bytes, and how many entries it has. */
  readonly tableAt: number;
  readonly entries: number;
  /** Bytes of a block without its bits, and of these. */
  readonly block: number;
  readonly bitBytes: number;
  /** Of the disk behind a differencing one: who it is, and its name. */
  readonly parentUuid: Buffer;
  readonly parentName: string;
  /** Where other ways to find it are told, by their codes. */
  readonly locators: readonly Locator[];
}

export interface Locator {
  readonly code: string;
  readonly at: bigint;
  readonly length: number;
}

export const DYNAMIC_HEADER = 1024;
const COOKIE = 'cxsparse';
const CHECKSUM_AT = 36;
const MOST_BLOCK = 1 << 28;
/** 2040 GiB in blocks of 4 KiB would be more; nobody makes them. */
const MOST_ENTRIES = 1 << 26;
const BLOCK = 2 << 20;

/** @throws BlockError EINVAL */
export function parseDynamic(bytes: Buffer, size: bigint): DynamicHeader {
  if (bytes.toString('latin1', 0, 8) !== COOKIE) throw wrong('the header of the disk is missing');
  const tableAt = bytes.readBigUInt64BE(16);
  const entries = bytes.readUInt32BE(28);
  const block = bytes.readUInt32BE(32);
  if (entries > MOST_ENTRIES) {
    throw new BlockError('EINVAL', `Max Table Entries too large (${entries})`);
  }
  if (bytes.readUInt32BE(CHECKSUM_AT) !== checksum(bytes, CHECKSUM_AT)) {
    throw wrong('the header of the disk is damaged');
  }
  if (block < 512 || block > MOST_BLOCK || (block & (block - 1)) !== 0) {
    throw wrong(`blocks of ${block} bytes: expected a power of two from 512 to 256 MiB`);
  }
  if (BigInt(entries) * BigInt(block) < size) throw wrong('the table is too small for the disk');
  if (tableAt < FOOTER || tableAt % 512n !== 0n || tableAt > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw wrong(`the table is at byte ${tableAt}`);
  }
  return {
    tableAt: Number(tableAt),
    entries,
    block,
    bitBytes: bitBytes(block),
    parentUuid: bytes.subarray(40, 56),
    parentName: utf16(Buffer.from(bytes.subarray(64, 576)).swap16()),
    locators: Array.from({ length: 8 }, (_, index) => {
      const at = 576 + index * 24;
      return {
        code: bytes.toString('latin1', at, at + 4),
        length: bytes.readUInt32BE(at + 8),
        at: bytes.readBigUInt64BE(at + 16),
      };
    }),
  };
}

/** Bytes of the bits before the data of a block: whole sectors. */
function bitBytes(block: number): number {
  return Math.ceil(block / 512 / 8 / 512) * 512;
}

/** The header of a new disk, and its table after it. */
export function newDynamic(size: bigint): { header: Buffer; table: Buffer } {
  const entries = Number((size + BigInt(BLOCK - 1)) / BigInt(BLOCK));
  const header = Buffer.alloc(DYNAMIC_HEADER);
  header.write(COOKIE, 'latin1');
  header.fill(0xff, 8, 16);
  header.writeBigUInt64BE(BigInt(FOOTER + DYNAMIC_HEADER), 16);
  header.writeUInt32BE(0x10000, 24);
  header.writeUInt32BE(entries, 28);
  header.writeUInt32BE(BLOCK, 32);
  header.writeUInt32BE(checksum(header, CHECKSUM_AT), CHECKSUM_AT);
  return { header, table: Buffer.alloc(Math.ceil((entries * 4) / 512) * 512, 0xff) };
}
