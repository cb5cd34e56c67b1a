import { crc32 } from 'node:zlib';
import { alignedDevice } from '../../block/aligned.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';

const SECTOR = 512;
/** In which sectors the label may be. */
const SECTORS = 4;
const LABEL = 'LABELONE';
const TYPE = 'LVM2 001';
const AREA_MAGIC = ' LVM2 x[5A%r0N*>';
const IGNORED = 1;
const LONGEST_TEXT = 16 << 20;
/** With this its checksums begin. */
const SEED = 0xf597a6cf;

/** What the label of a physical volume says. */
export interface Label {
  /** 32 letters and digits. */
  readonly id: string;
  /** Of the whole device, in bytes. */
  readonly size: bigint;
  /** The description of its volume group; undefined: it is in none, or another volume has it. */
  readonly text: string | undefined;
}

/** A checksum of LVM: as that of zlib, with another beginning and end. */
function checksum(bytes: Buffer): number {
  return ~crc32(bytes, ~SEED >>> 0) >>> 0;
}

/** The label of a device; undefined: it is no physical volume. @throws BlockError EIO it is damaged. */
export async function readLabel(
  device: BlockDevice,
  options?: RequestOptions,
): Promise<Label | undefined> {
  const bytes = alignedDevice(device);
  const read = async (what: string, offset: bigint, length: number) => {
    if (offset < 0n || offset + BigInt(length) > device.size)
      throw bad(`${what}: is outside of the disk`);
    return Buffer.from(contiguous(await bytes.read(offset, length, options)));
  };
  if (device.size < BigInt(SECTORS * SECTOR)) return undefined;
  const start = await read('label', 0n, SECTORS * SECTOR);
  for (let sector = 0; sector < SECTORS; sector++) {
    const label = start.subarray(sector * SECTOR, (sector + 1) * SECTOR);
    if (label.toString('latin1', 0, 8) !== LABEL || label.toString('latin1', 24, 32) !== TYPE)
      continue;
    if (checksum(label.subarray(20)) !== label.readUInt32LE(16))
      throw bad('label: its checksum is wrong');
    const header = label.readUInt32LE(20);
    if (header > SECTOR - 56) throw bad('label: its header is outside of it');
    const texts: string[] = [];
    for (const { offset } of metadataAreas(label.subarray(header + 40))) {
      const text = await readArea(offset, read);
      if (text !== undefined) texts.push(text);
    }
    const id = label.toString('latin1', header, header + 32);
    return { id, size: label.readBigUInt64LE(header + 32), text: texts[0] };
  }
  return undefined;
}

interface Area {
  readonly offset: bigint;
  readonly size: bigint;
}

/** Two lists, each with an empty entry at its end: where data is, and where metadata is. */
function metadataAreas(list: Buffer): Area[] {
  const areas: Area[] = [];
  let ends = 0;
  for (let at = 0; at + 16 <= list.length && ends < 2; at += 16) {
    const area = { offset: list.readBigUInt64LE(at), size: list.readBigUInt64LE(at + 8) };
    if (area.offset === 0n) ends += 1;
    else if (ends === 1) areas.push(area);
  }
  return areas;
}

type Read = (what: string, offset: bigint, length: number) => Promise<Buffer>;

/** The text of an area, which is a ring after its header. */
async function readArea(place: bigint, read: Read): Promise<string | undefined> {
  const header = await read('metadata area', place, SECTOR);
  const magic = header.toString('latin1', 4, 20) === AREA_MAGIC;
  if (!magic || checksum(header.subarray(4)) !== header.readUInt32LE(0)) {
    throw bad('metadata area: its checksum is wrong');
  }
  const size = header.readBigUInt64LE(32);
  const [offset, length] = [header.readBigUInt64LE(40), header.readBigUInt64LE(48)];
  if (offset === 0n || header.readUInt32LE(60) & IGNORED) return undefined;
  if (length > BigInt(LONGEST_TEXT) || offset < BigInt(SECTOR) || offset >= size || length > size) {
    throw bad(`metadata area: a text of ${length} bytes`);
  }
  const first = offset + length > size ? size - offset : length;
  const parts = [await read('metadata', place + offset, Number(first))];
  if (first < length)
    parts.push(await read('metadata', place + BigInt(SECTOR), Number(length - first)));
  const text = Buffer.concat(parts);
  if (checksum(text) !== header.readUInt32LE(56)) throw bad('metadata: its checksum is wrong');
  const end = text.indexOf(0);
  return text.toString('utf8', 0, end < 0 ? text.length : end);
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `lvm: ${words}`);
}
