import { randomBytes } from 'node:crypto';
import { BlockError } from '../../block/errors.ts';

/** The footer of Microsoft's Virtual Hard Disk format 1.0; all numbers are big-endian. */
export interface Footer {
  readonly kind: 'fixed' | 'dynamic' | 'differencing';
  /** Bytes of the disk. */
  readonly size: bigint;
  /** Where the header of a dynamic disk is. */
  readonly headerAt: number;
  readonly uuid: Buffer;
  /** All of it, as it is copied. */
  readonly bytes: Buffer;
}

export const FOOTER = 512;
const COOKIE = 'conectix';
const KINDS = { 2: 'fixed', 3: 'dynamic', 4: 'differencing' } as const;
/** Cylinders, heads and sectors that mean: more than these can tell. */
const MOST_CHS = { cylinders: 65535, heads: 16, sectors: 255 };
/** Programs whose disks are as long as the footer says, and not as their geometry does. */
const EXACT = ['win ', 'd2v ', 'qem2', 'tap\0', 'CTXS'];
/** 2040 GiB, as Windows has it. */
const MOST_SECTORS = 0xff000000;
/** Of 2000-01-01, in seconds. */
const EPOCH = 946684800;

export const wrong = (what: string) => new BlockError('EINVAL', `vpc: ${what}`);

/** The ones' complement of the sum of all bytes but the field itself. */
export function checksum(bytes: Buffer, fieldAt: number): number {
  let sum = 0;
  for (const [at, byte] of bytes.entries()) if (at < fieldAt || at >= fieldAt + 4) sum += byte;
  return ~sum >>> 0;
}

const CHECKSUM_AT = 64;

/** Whether bytes are a footer that is whole. Old ones lack the last byte. */
export function isFooter(bytes: Buffer): boolean {
  return (
    bytes.toString('latin1', 0, 8) === COOKIE &&
    bytes.readUInt32BE(CHECKSUM_AT) === checksum(bytes, CHECKSUM_AT)
  );
}

/** @throws BlockError EINVAL, ENOTSUP */
export function parseFooter(bytes: Buffer): Footer {
  const type = bytes.readUInt32BE(60);
  const kind = KINDS[type as keyof typeof KINDS];
  if (!kind) throw new BlockError('ENOTSUP', `vpc: disks of type ${type} are not supported`);
  const headerAt = bytes.readBigUInt64BE(16);
  if (kind !== 'fixed' && headerAt > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw wrong(`the header is at byte ${headerAt}`);
  }
  const size = sizeOf(bytes);
  if (size > 2n ** 53n - 1n) throw wrong(`a disk of ${size} bytes`);
  return { kind, size, headerAt: Number(headerAt), uuid: bytes.subarray(68, 84), bytes };
}

/** Some programs round the size up to what the geometry tells, and say so nowhere else. */
function sizeOf(bytes: Buffer): bigint {
  const [cylinders, heads, sectors] = [bytes.readUInt16BE(56), bytes[58]!, bytes[59]!];
  const byGeometry = cylinders * heads * sectors;
  const most = MOST_CHS.cylinders * MOST_CHS.heads * MOST_CHS.sectors;
  const isExact = EXACT.includes(bytes.toString('latin1', 28, 32)) || byGeometry === most;
  return isExact ? bytes.readBigUInt64BE(48) & ~511n : BigInt(byGeometry) * 512n;
}

interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

/** As the appendix of the format computes it. */
function geometryOf(total: number): Geometry {
  if (total >= 65535 * 16 * 63) {
    const most = Math.min(total, 65535 * 16 * 255);
    return { sectors: 255, heads: 16, cylinders: Math.floor(most / 255 / 16) };
  }
  let sectors = 17;
  let tracks = Math.floor(total / sectors);
  let heads = Math.max(4, Math.ceil(tracks / 1024));
  if (tracks >= heads * 1024 || heads > 16) {
    [sectors, heads] = [31, 16];
    tracks = Math.floor(total / sectors);
  }
  if (tracks >= heads * 1024) {
    sectors = 63;
    tracks = Math.floor(total / sectors);
  }
  return { sectors, heads, cylinders: Math.floor(tracks / heads) };
}

/**
 * The footer of a new disk, whose size is rounded up to what a geometry can tell.
 * @param exact its size is what was asked for, which other programs may not respect.
 * @throws BlockError EINVAL
 */
export function newFooter(kind: 'fixed' | 'dynamic', size: bigint, exact: boolean): Footer {
  const wanted = Number((size + 511n) / 512n);
  if (wanted > MOST_SECTORS) throw wrong(`a disk of ${size} bytes: expected at most 2040 GiB`);
  const geometry = exact ? MOST_CHS : roundedUp(wanted);
  const told = geometry.cylinders * geometry.heads * geometry.sectors;
  const isMost = told === MOST_CHS.cylinders * MOST_CHS.heads * MOST_CHS.sectors;
  const bytes = Buffer.alloc(FOOTER);
  bytes.write(COOKIE, 'latin1');
  bytes.writeUInt32BE(2, 8);
  bytes.writeUInt32BE(0x10000, 12);
  bytes.writeBigUInt64BE(kind === 'fixed' ? 2n ** 64n - 1n : BigInt(FOOTER), 16);
  bytes.writeUInt32BE(Math.floor(Date.now() / 1000) - EPOCH, 24);
  bytes.write(exact ? 'qem2' : 'qemu', 28, 'latin1');
  bytes.writeUInt32BE(0x50003, 32);
  bytes.write('Wi2k', 36, 'latin1');
  for (const at of [40, 48]) bytes.writeBigUInt64BE(BigInt(isMost ? wanted : told) * 512n, at);
  bytes.writeUInt16BE(geometry.cylinders, 56);
  bytes[58] = geometry.heads;
  bytes[59] = geometry.sectors;
  bytes.writeUInt32BE(kind === 'fixed' ? 2 : 3, 60);
  randomBytes(16).copy(bytes, 68);
  bytes.writeUInt32BE(checksum(bytes, CHECKSUM_AT), CHECKSUM_AT);
  return parseFooter(bytes);
}

function roundedUp(wanted: number): Geometry {
  if (wanted > 65535 * 16 * 255) return MOST_CHS;
  for (let total = wanted; ; total++) {
    const geometry = geometryOf(total);
    if (geometry.cylinders * geometry.heads * geometry.sectors >= wanted) return geometry;
  }
}
