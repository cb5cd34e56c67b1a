import { randomBytes } from 'node:crypto';
import { crc32c } from '../../block/crc32c.ts';
import { BlockError } from '../../block/errors.ts';

/** [MS-VHDX]: all numbers are little-endian. */
export const MIB = 1 << 20;
const KIB = 1 << 10;

export const HEADERS_AT = [64 * KIB, 128 * KIB] as const;
export const HEADER_BYTES = 4096;
export const REGIONS_AT = [192 * KIB, 256 * KIB] as const;
export const REGION_BYTES = 64 * KIB;
/** Of the header, the region table and all that is before the log. */
export const HEADER_SECTION = MIB;
const MOST_REGIONS = 2047;

export const wrong = (what: string) => new BlockError('EINVAL', `vhdx: ${what}`);

/** A GUID as it is stored. */
export function guid(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).swap32();
  bytes.subarray(4, 6).swap16();
  bytes.subarray(6, 8).swap16();
  return bytes;
}

export function guidText(bytes: Uint8Array): string {
  const copy = Buffer.from(bytes);
  copy.subarray(0, 4).swap32();
  copy.subarray(4, 6).swap16();
  copy.subarray(6, 8).swap16();
  return copy.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export const newGuid = () => randomBytes(16);
export const NO_GUID = Buffer.alloc(16);

/** Over a structure whose own field for it is zero meanwhile. */
export function checksum(bytes: Buffer): number {
  const before = crc32c(~0, bytes.subarray(0, 4));
  const own = crc32c(before, Buffer.alloc(4));
  return ~crc32c(own, bytes.subarray(8)) >>> 0;
}

export const isWhole = (bytes: Buffer, signature: string) =>
  bytes.toString('latin1', 0, 4) === signature && bytes.readUInt32LE(4) === checksum(bytes);

export function sign(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(checksum(bytes), 4);
  return bytes;
}

/** What changes as the file is used. */
export interface Header {
  readonly sequence: bigint;
  /** Changes with the file, and with what is on the disk. */
  readonly fileGuid: Buffer;
  readonly dataGuid: Buffer;
  /** Of the entries of the log that are to be replayed; NO_GUID: none are. */
  readonly logGuid: Buffer;
  readonly logAt: number;
  readonly logLength: number;
}

/** @returns undefined for one that is not whole. @throws BlockError */
export function parseHeader(bytes: Buffer): Header | undefined {
  if (!isWhole(bytes, 'head')) return undefined;
  const [logVersion, version] = [bytes.readUInt16LE(64), bytes.readUInt16LE(66)];
  if (version !== 1) throw new BlockError('ENOTSUP', `vhdx: version ${version} is not supported`);
  const logGuid = Buffer.from(bytes.subarray(48, 64));
  if (!logGuid.equals(NO_GUID) && logVersion !== 0) {
    throw new BlockError('ENOTSUP', `vhdx: version ${logVersion} of the log is not supported`);
  }
  const logLength = bytes.readUInt32LE(68);
  const logAt = bytes.readBigUInt64LE(72);
  if (logAt % BigInt(MIB) !== 0n || logLength % MIB !== 0 || logAt > 2n ** 53n - 2n ** 33n) {
    throw wrong(`a log of ${logLength} bytes at ${logAt}`);
  }
  return {
    sequence: bytes.readBigUInt64LE(8),
    fileGuid: Buffer.from(bytes.subarray(16, 32)),
    dataGuid: Buffer.from(bytes.subarray(32, 48)),
    logGuid,
    logAt: Number(logAt),
    logLength,
  };
}

export function headerBytes(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write('head', 'latin1');
  bytes.writeBigUInt64LE(header.sequence, 8);
  header.fileGuid.copy(bytes, 16);
  header.dataGuid.copy(bytes, 32);
  header.logGuid.copy(bytes, 48);
  bytes.writeUInt16LE(1, 66);
  bytes.writeUInt32LE(header.logLength, 68);
  bytes.writeBigUInt64LE(BigInt(header.logAt), 72);
  return sign(bytes);
}

/** A part of the file that is for one purpose, in bytes. */
export interface Region {
  readonly at: number;
  readonly length: number;
}

const BAT = guid('2DC27766-F623-4200-9D64-115E9BFD4A08');
const METADATA = guid('8B7CA206-4790-4B9A-B8FE-575F050F886E');

export interface Regions {
  readonly bat: Region;
  readonly metadata: Region;
}

/** @returns undefined for a table that is not whole. @throws BlockError */
export function parseRegions(bytes: Buffer, log: Region): Regions | undefined {
  if (!isWhole(bytes, 'regi')) return undefined;
  const count = bytes.readUInt32LE(8);
  if (count > MOST_REGIONS) throw wrong(`${count} regions: expected at most ${MOST_REGIONS}`);
  const taken: Region[] = [{ at: 0, length: HEADER_SECTION }];
  if (log.length > 0) taken.push(log);
  let bat: Region | undefined;
  let metadata: Region | undefined;
  for (let at = 16; at < 16 + count * 32; at += 32) {
    const id = bytes.subarray(at, at + 16);
    const region = regionAt(bytes, at + 16);
    const other = taken.find(each => overlap(each, region));
    if (other) throw wrong(`the region at ${region.at} lies over the one at ${other.at}`);
    taken.push(region);
    if (id.equals(BAT) && !bat) bat = region;
    else if (id.equals(METADATA) && !metadata) metadata = region;
    else if (bytes.readUInt32LE(at + 28) & 1) {
      throw new BlockError('ENOTSUP', `vhdx: the region ${guidText(id)} is not supported`);
    }
  }
  if (!bat || !metadata) throw wrong('the regions of the table and the metadata are missing');
  return { bat, metadata };
}

function regionAt(bytes: Buffer, at: number): Region {
  const place = bytes.readBigUInt64LE(at);
  const length = bytes.readUInt32LE(at + 8);
  if (place % BigInt(MIB) !== 0n || length % MIB !== 0 || length === 0 || place > 2n ** 52n) {
    throw wrong(`a region of ${length} bytes at ${place}`);
  }
  return { at: Number(place), length };
}

const overlap = (one: Region, other: Region) =>
  one.at < other.at + other.length && other.at < one.at + one.length;

export function regionBytes({ bat, metadata }: Regions): Buffer {
  const bytes = Buffer.alloc(REGION_BYTES);
  bytes.write('regi', 'latin1');
  bytes.writeUInt32LE(2, 8);
  for (const [index, { id, region }] of [
    { id: BAT, region: bat },
    { id: METADATA, region: metadata },
  ].entries()) {
    const at = 16 + index * 32;
    id.copy(bytes, at);
    bytes.writeBigUInt64LE(BigInt(region.at), at + 16);
    bytes.writeUInt32LE(region.length, at + 24);
    bytes.writeUInt32LE(1, at + 28);
  }
  return sign(bytes);
}
