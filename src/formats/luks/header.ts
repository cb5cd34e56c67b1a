import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readInto } from '../../block/read-into.ts';
import type { CipherSpec } from '../../encryption/cipher-spec.ts';
import type { Derivation, Pbkdf2 } from '../../encryption/key-derivation.ts';

/** What both versions say of a volume. */
export interface LuksHeader {
  readonly version: 1 | 2;
  readonly uuid: string;
  /** Bytes of the volume key. */
  readonly keyBytes: number;
  /** Those that are in use. */
  readonly slots: readonly KeySlot[];
  readonly payload: Payload;
}

/** A copy of the volume key, encrypted with what a passphrase gives. */
export interface KeySlot {
  readonly number: number;
  /** 0: not without being named; 1: as others; 2: before others. */
  readonly priority: number;
  readonly derivation: Derivation;
  /** How the key material is encrypted, and with how many bytes of key. */
  readonly cipher: CipherSpec;
  readonly cipherBytes: number;
  /** Where the key material is, in bytes. */
  readonly offset: number;
  /** Of the anti-forensic splitter. */
  readonly stripes: number;
  readonly hash: string;
  /** By which its key is known to be right. */
  readonly digest: KeyDigest;
}

export interface KeyDigest {
  readonly derivation: Pbkdf2;
  readonly bytes: Uint8Array;
}

/** Where the data is, and how it is encrypted. */
export interface Payload {
  readonly cipher: CipherSpec;
  /** Bytes from the beginning of the device with the data. */
  readonly offset: bigint;
  /** Bytes; undefined: up to the end. */
  readonly size: bigint | undefined;
  /** Bytes. */
  readonly sector: number;
  /** The number of the first sector, and by how much they differ. */
  readonly first: bigint;
  readonly step: number;
}

export const LUKS_SECTOR = 512;
export const STRIPES = 4000;
/** Areas of key material begin at multiples of it, in bytes. */
export const ALIGNMENT = 4096;
/** A splitter that takes more than a moment protects nothing better. */
export const MOST_STRIPES = 10_000;
/** Two keys of 256 bits are the longest that a cipher here takes. */
export const MOST_KEY_BYTES = 64;

/** Bytes of a slot's key material in whole sectors. */
export function materialBytes(keyBytes: number, stripes: number): number {
  return Math.ceil((keyBytes * stripes) / LUKS_SECTOR) * LUKS_SECTOR;
}

/** Bytes of the area that key material is given, in whole pages. */
export function areaBytes(keyBytes: number, stripes: number): number {
  return Math.ceil((keyBytes * stripes) / ALIGNMENT) * ALIGNMENT;
}

export const corrupt = (what: string) => new BlockError('EINVAL', `LUKS: ${what}`);

/** So many bytes of a device. @throws BlockError EINVAL when it is shorter. */
export async function readBytes(
  device: BlockDevice,
  offset: number,
  length: number,
  options?: RequestOptions,
): Promise<Buffer> {
  if (BigInt(offset) + BigInt(length) > device.size) {
    throw corrupt(`the header ends at ${device.size}, before byte ${offset + length}`);
  }
  const bytes = Buffer.alloc(length);
  await readInto(device, BigInt(offset), bytes, options);
  return bytes;
}

/** Text in a field of fixed length. */
export function textIn(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end < 0 ? length : end);
}

/**
 * The key material of slots must be where nothing else is.
 * @param from in bytes, and `to` likewise.
 */
export function checkSlots(
  slots: readonly KeySlot[],
  keyBytes: number,
  from: number,
  to: bigint,
): void {
  let end = from;
  for (const { number, offset, stripes } of slots.toSorted((a, b) => a.offset - b.offset)) {
    if (stripes < 1 || stripes > MOST_STRIPES) {
      throw corrupt(`slot ${number} has ${stripes} stripes: expected 1 to ${MOST_STRIPES}`);
    }
    if (offset < end) throw corrupt(`slot ${number} lies over something else`);
    end = offset + materialBytes(keyBytes, stripes);
    if (BigInt(end) > to) throw corrupt(`slot ${number} reaches beyond the header`);
  }
}
