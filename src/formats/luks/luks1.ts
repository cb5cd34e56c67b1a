import type { BlockDevice } from '../../block/device.ts';
import { cipherSpec, hashName } from '../../encryption/cipher-spec.ts';
import type { Pbkdf2 } from '../../encryption/key-derivation.ts';
import {
  checkSlots,
  corrupt,
  type KeyDigest,
  type KeySlot,
  LUKS_SECTOR,
  type LuksHeader,
  MOST_KEY_BYTES,
  textIn,
} from './header.ts';

/** LUKS On-Disk Format Specification 1.2: all numbers are big-endian. */
export const LUKS1_BYTES = 592;
const SLOTS_AT = 208;
const SLOT_BYTES = 48;
export const LUKS1_SLOTS = 8;
const ENABLED = 0x00ac71f3;
const DISABLED = 0x0000dead;

/** The fields of a header as they are on the disk. */
export interface Luks1Fields {
  readonly cipher: string;
  readonly mode: string;
  readonly hash: string;
  readonly payload: number;
  readonly keyBytes: number;
  readonly digest: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly uuid: string;
  readonly slots: readonly Luks1Slot[];
}

export interface Luks1Slot {
  readonly active: boolean;
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** In sectors. */
  readonly offset: number;
  readonly stripes: number;
}

/** @param bytes LUKS1_BYTES, with the magic number and the version checked. */
export function parseLuks1(bytes: Buffer): Luks1Fields {
  return {
    cipher: textIn(bytes, 8, 32),
    mode: textIn(bytes, 40, 32),
    hash: textIn(bytes, 72, 32),
    payload: bytes.readUInt32BE(104),
    keyBytes: bytes.readUInt32BE(108),
    digest: bytes.subarray(112, 132),
    salt: bytes.subarray(132, 164),
    iterations: bytes.readUInt32BE(164),
    uuid: textIn(bytes, 168, 40),
    slots: Array.from({ length: LUKS1_SLOTS }, (_, number) => {
      const at = SLOTS_AT + number * SLOT_BYTES;
      return {
        active: bytes.readUInt32BE(at) === ENABLED,
        iterations: bytes.readUInt32BE(at + 4),
        salt: bytes.subarray(at + 8, at + 40),
        offset: bytes.readUInt32BE(at + 40),
        stripes: bytes.readUInt32BE(at + 44),
      };
    }),
  };
}

export function luks1Bytes(fields: Luks1Fields): Buffer {
  const bytes = Buffer.alloc(LUKS1_BYTES);
  bytes.write('LUKS\xba\xbe\0\x01', 'latin1');
  bytes.write(fields.cipher, 8, 31, 'latin1');
  bytes.write(fields.mode, 40, 31, 'latin1');
  bytes.write(fields.hash, 72, 31, 'latin1');
  bytes.writeUInt32BE(fields.payload, 104);
  bytes.writeUInt32BE(fields.keyBytes, 108);
  bytes.set(fields.digest, 112);
  bytes.set(fields.salt, 132);
  bytes.writeUInt32BE(fields.iterations, 164);
  bytes.write(fields.uuid, 168, 39, 'latin1');
  for (const [number, slot] of fields.slots.entries()) {
    const at = SLOTS_AT + number * SLOT_BYTES;
    bytes.writeUInt32BE(slot.active ? ENABLED : DISABLED, at);
    bytes.writeUInt32BE(slot.iterations, at + 4);
    bytes.set(slot.salt, at + 8);
    bytes.writeUInt32BE(slot.offset, at + 40);
    bytes.writeUInt32BE(slot.stripes, at + 44);
  }
  return bytes;
}

/** Bytes that the header may take: all before the data, where that is on the same device. */
export function luks1Room(
  { payload }: Luks1Fields,
  device: BlockDevice,
  detached: boolean,
): bigint {
  return detached ? device.size : BigInt(payload) * BigInt(LUKS_SECTOR);
}

/**
 * What the fields mean.
 * @param room bytes that the header may take.
 * @throws BlockError EINVAL, ENOTSUP
 */
export function luks1Header(fields: Luks1Fields, room: bigint): LuksHeader {
  const cipher = cipherSpec(fields.cipher, fields.mode);
  const hash = hashName(fields.hash);
  const { keyBytes } = fields;
  if (keyBytes < 1 || keyBytes > MOST_KEY_BYTES) throw corrupt(`a key of ${keyBytes} bytes`);
  const derivation = (iterations: number, salt: Uint8Array): Pbkdf2 => {
    return { kind: 'pbkdf2', hash, iterations, salt };
  };
  const digest: KeyDigest = {
    derivation: derivation(fields.iterations, fields.salt),
    bytes: fields.digest,
  };
  const slots = fields.slots.flatMap((slot, number): KeySlot[] => {
    if (!slot.active) return [];
    return [
      {
        number,
        priority: 1,
        derivation: derivation(slot.iterations, slot.salt),
        cipher,
        cipherBytes: keyBytes,
        offset: slot.offset * LUKS_SECTOR,
        stripes: slot.stripes,
        hash,
        digest,
      },
    ];
  });
  checkSlots(slots, keyBytes, LUKS1_BYTES, room);
  const offset = BigInt(fields.payload) * BigInt(LUKS_SECTOR);
  return {
    version: 1,
    uuid: fields.uuid,
    keyBytes,
    slots,
    payload: { cipher, offset, size: undefined, sector: LUKS_SECTOR, first: 0n, step: 1 },
  };
}
