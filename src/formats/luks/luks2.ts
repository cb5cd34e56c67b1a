import { createHash } from 'node:crypto';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { hashName, parseCipher } from '../../encryption/cipher-spec.ts';
import type { Derivation } from '../../encryption/key-derivation.ts';
import { harmless } from '../../protocol/text.ts';
import {
  checkSlots,
  corrupt,
  type KeyDigest,
  type KeySlot,
  LUKS_SECTOR,
  type LuksHeader,
  MOST_KEY_BYTES,
  MOST_STRIPES,
  type Payload,
  readBytes,
  textIn,
} from './header.ts';
import { JsonAt } from './json.ts';

/** LUKS2 On-Disk Format Specification 1.1: binary numbers are big-endian. */
export const BINARY_BYTES = 4096;
const CHECKSUM_AT = 448;
const CHECKSUM_ROOM = 64;
/** Bytes of a header with its metadata; the second one follows the first. */
const SIZES = Array.from({ length: 9 }, (_, power) => 16384 << power);
export const LUKS2_SLOTS = 32;
const MOST_ITERATIONS = 2 ** 32 - 1;

const MAGIC = 'LUKS\xba\xbe\0\x02';
const SECOND_MAGIC = 'SKUL\xba\xbe\0\x02';

/** One of the two headers, as it is on the disk. */
export interface Luks2Fields {
  /** Bytes of this header; both are of one size. */
  readonly size: number;
  readonly sequence: bigint;
  readonly label: string;
  readonly uuid: string;
  readonly subsystem: string;
  readonly json: JsonAt;
}

/** The newer of the two headers that are whole; undefined when neither is. */
export async function readLuks2(
  device: BlockDevice,
  options?: RequestOptions,
): Promise<Luks2Fields | undefined> {
  const first = await readOne(device, 0, options);
  const places = first ? [first.size] : SIZES;
  for (const place of places) {
    const second = await readOne(device, place, options);
    if (second) return !first || second.sequence > first.sequence ? second : first;
  }
  return first;
}

/** A header at its place; undefined when it is none, or its checksum is wrong. */
async function readOne(
  device: BlockDevice,
  place: number,
  options?: RequestOptions,
): Promise<Luks2Fields | undefined> {
  if (BigInt(place + BINARY_BYTES) > device.size) return undefined;
  const binary = await readBytes(device, place, BINARY_BYTES, options);
  const magic = place === 0 ? MAGIC : SECOND_MAGIC;
  const size = Number(binary.readBigUInt64BE(8));
  if (binary.toString('latin1', 0, 8) !== magic || !SIZES.includes(size)) return undefined;
  if (binary.readBigUInt64BE(256) !== BigInt(place)) return undefined;
  if (place !== 0 && place !== size) return undefined;
  if (BigInt(place + size) > device.size) return undefined;
  const metadata = await readBytes(device, place + BINARY_BYTES, size - BINARY_BYTES, options);
  const sum = checksum(binary, metadata, textIn(binary, 72, 32));
  if (!sum?.equals(binary.subarray(CHECKSUM_AT, CHECKSUM_AT + sum.length))) return undefined;
  const end = metadata.indexOf(0);
  return {
    size,
    sequence: binary.readBigUInt64BE(16),
    label: textIn(binary, 24, 48),
    uuid: textIn(binary, 168, 40),
    subsystem: textIn(binary, 208, 48),
    json: JsonAt.parse(metadata.toString('utf8', 0, end < 0 ? metadata.length : end)),
  };
}

/** Over a header and its metadata, without the checksum; undefined for one that nobody uses. */
function checksum(binary: Buffer, metadata: Buffer, hash: string): Buffer | undefined {
  if (!/^sha(1|256|384|512)$/.test(hash)) return undefined;
  const sum = createHash(hash).update(binary.subarray(0, CHECKSUM_AT));
  sum.update(Buffer.alloc(CHECKSUM_ROOM)).update(binary.subarray(CHECKSUM_AT + CHECKSUM_ROOM));
  return sum.update(metadata).digest();
}

/**
 * A header as it goes to the disk.
 * @param salt 64 random bytes, so that no two headers are the same.
 * @throws BlockError ENOSPC when the metadata does not fit.
 */
export function luks2Bytes(
  { size, sequence, label, uuid, subsystem, json }: Luks2Fields,
  place: number,
  salt: Uint8Array,
): Buffer {
  const bytes = Buffer.alloc(size);
  const text = JSON.stringify(json.value);
  const metadata = bytes.subarray(BINARY_BYTES);
  // There is a zero behind it.
  if (Buffer.byteLength(text) >= metadata.length) {
    throw new BlockError('ENOSPC', `LUKS: the metadata does not fit into ${metadata.length} bytes`);
  }
  metadata.write(text);
  bytes.write(place === 0 ? MAGIC : SECOND_MAGIC, 'latin1');
  bytes.writeBigUInt64BE(BigInt(size), 8);
  bytes.writeBigUInt64BE(sequence, 16);
  bytes.write(label, 24, 47, 'latin1');
  bytes.write('sha256', 72);
  bytes.set(salt, 104);
  bytes.write(uuid, 168, 39, 'latin1');
  bytes.write(subsystem, 208, 47, 'latin1');
  bytes.writeBigUInt64BE(BigInt(place), 256);
  checksum(bytes.subarray(0, BINARY_BYTES), metadata, 'sha256')!.copy(bytes, CHECKSUM_AT);
  return bytes;
}

/** Where key material may be, in bytes. */
export function slotsRoom({ size, json }: Luks2Fields): { from: number; to: number } {
  const from = 2 * size;
  return { from, to: from + Number(json.get('config').get('keyslots_size').decimal()) };
}

/**
 * What a header means.
 * @param room bytes of the device that it is on.
 * @throws BlockError EINVAL, ENOTSUP
 */
export function luks2Header(fields: Luks2Fields, room: bigint): LuksHeader {
  const { json } = fields;
  checkRequirements(json);
  const segments = json.get('segments').numbered(LUKS2_SLOTS);
  const [segment] = segments;
  if (!segment || segments.length > 1) {
    throw new BlockError('ENOTSUP', `LUKS: ${segments.length} segments are not supported`);
  }
  const digests = json
    .get('digests')
    .numbered(LUKS2_SLOTS)
    .map(([, digest]) => digest);
  const digest = digests.find(each => each.get('segments').texts().includes(`${segment[0]}`));
  if (!digest) throw corrupt('no digest is for the data');
  const mine = new Set(digest.get('keyslots').texts());
  const keyDigest = digestOf(digest);
  const all = json.get('keyslots').numbered(LUKS2_SLOTS);
  const usable = all.filter(([number, slot]) => {
    return mine.has(`${number}`) && slot.get('type').value === 'luks2';
  });
  const keyBytes = usable[0]?.[1].get('key_size').integer(1, MOST_KEY_BYTES) ?? 0;
  const slots = usable.map(([number, slot]) => slotOf(number, slot, keyBytes, keyDigest));
  const { from, to } = slotsRoom(fields);
  checkSlots(slots, keyBytes, from, room < BigInt(to) ? room : BigInt(to));
  return { version: 2, uuid: fields.uuid, keyBytes, slots, payload: payloadOf(segment[1]) };
}

/** What whoever opens the volume has to understand. */
function checkRequirements(json: JsonAt): void {
  const config = json.get('config');
  if (!config.has('requirements') || !config.get('requirements').has('mandatory')) return;
  const needed = config.get('requirements').get('mandatory').texts();
  if (needed.length === 0) return;
  const words = needed.map(harmless).join(', ');
  throw new BlockError('ENOTSUP', `LUKS: the volume needs what is not supported: ${words}`);
}

function digestOf(digest: JsonAt): KeyDigest {
  digest.get('type').oneOf('pbkdf2');
  return {
    derivation: {
      kind: 'pbkdf2',
      hash: hashName(digest.get('hash').text()),
      iterations: digest.get('iterations').integer(1, MOST_ITERATIONS),
      salt: digest.get('salt').bytes(256),
    },
    bytes: digest.get('digest').bytes(64),
  };
}

function slotOf(number: number, slot: JsonAt, keyBytes: number, digest: KeyDigest): KeySlot {
  const [af, area] = [slot.get('af'), slot.get('area')];
  af.get('type').oneOf('luks1');
  area.get('type').oneOf('raw');
  // All are copies of one key.
  slot.get('key_size').integer(keyBytes, keyBytes);
  return {
    number,
    priority: slot.has('priority') ? slot.get('priority').integer(0, 2) : 1,
    derivation: derivationOf(slot.get('kdf')),
    cipher: parseCipher(area.get('encryption').text()),
    cipherBytes: area.get('key_size').integer(1, MOST_KEY_BYTES),
    offset: inNumber(area.get('offset')),
    stripes: af.get('stripes').integer(1, MOST_STRIPES),
    hash: hashName(af.get('hash').text()),
    digest,
  };
}

function derivationOf(kdf: JsonAt): Derivation {
  const kind = kdf.get('type').oneOf('argon2id', 'argon2i', 'pbkdf2');
  const salt = kdf.get('salt').bytes(256);
  if (kind === 'pbkdf2') {
    const iterations = kdf.get('iterations').integer(1, MOST_ITERATIONS);
    return { kind, hash: hashName(kdf.get('hash').text()), iterations, salt };
  }
  return {
    kind,
    time: kdf.get('time').integer(1, MOST_ITERATIONS),
    memory: kdf.get('memory').integer(1, MOST_ITERATIONS),
    lanes: kdf.get('cpus').integer(1, MOST_ITERATIONS),
    salt,
  };
}

function payloadOf(segment: JsonAt): Payload {
  segment.get('type').oneOf('crypt');
  if (segment.has('integrity')) {
    throw new BlockError('ENOTSUP', 'LUKS: volumes with integrity protection are not supported');
  }
  const sector = segment.get('sector_size').integer(512, 4096);
  if ((sector & (sector - 1)) !== 0) throw segment.get('sector_size').wrong('a power of two');
  // Parts of a reencryption, or what later versions may mean.
  if (segment.has('flags') && segment.get('flags').texts().length > 0) {
    throw segment.get('flags').wrong('no flags');
  }
  const size = segment.get('size');
  return {
    cipher: parseCipher(segment.get('encryption').text()),
    offset: segment.get('offset').decimal(),
    size: size.value === 'dynamic' ? undefined : size.decimal(),
    sector,
    first: segment.get('iv_tweak').decimal(),
    step: sector / LUKS_SECTOR,
  };
}

function inNumber(place: JsonAt): number {
  const value = place.decimal();
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw place.wrong('less than 2^53');
}
