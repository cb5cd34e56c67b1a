/** Disks in memory, damaged by a seed: only what is changed is copied. */

import { isZero } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import type { Random } from '../../src/testing/model.ts';
import { OverlayMemory } from '../peer/overlay-memory.ts';
import { EDGES } from './fuzz.ts';

const SECTOR = 512;
/** Most of what describes a file system is at its start. */
const START = 256;

export interface Original {
  readonly bytes: Buffer;
  /** The numbers of those that are not empty. */
  readonly sectors: readonly number[];
}

/** Makes right again the checksums that are concerned by a change at a place of a disk. */
export type Repair = (disk: OverlayMemory, place: number) => void;

export function originalOf(bytes: Buffer): Original {
  const sectors: number[] = [];
  for (let at = 0; at < bytes.length; at += SECTOR)
    if (!isZero(bytes.subarray(at, at + SECTOR))) sectors.push(at / SECTOR);
  return { bytes, sectors };
}

/** A number in one of the forms that file systems have, or a bit. @returns where. */
function damage(sector: Buffer, random: Random): number {
  const at = random.below(SECTOR - 8);
  const edge = EDGES[random.below(EDGES.length)]!;
  const kinds = [
    () => sector.writeUInt8(edge & 0xff, at),
    () => sector.writeUInt16LE(edge & 0xffff, at & ~1),
    () => sector.writeUInt16BE(edge & 0xffff, at & ~1),
    () => sector.writeUInt32LE(edge, at & ~3),
    () => sector.writeUInt32BE(edge, at & ~3),
    () => sector.writeUInt8(sector[at]! ^ (1 << random.below(8)), at),
  ];
  kinds[random.below(kinds.length)]!();
  return at;
}

/** A disk with up to six sectors changed. */
export function damagedDisk(
  { bytes, sectors }: Original,
  random: Random,
  repair?: Repair,
): BlockDevice {
  const disk = new OverlayMemory(bytes);
  const places: number[] = [];
  for (let count = 1 + random.below(6); count > 0; count--) {
    const most = random.below(2) === 0 ? Math.min(START, sectors.length) : sectors.length;
    const place = sectors[random.below(most)]! * SECTOR;
    disk.change(place, SECTOR, sector => places.push(place + damage(sector, random)));
  }
  for (const place of places) repair?.(disk, place);
  return { size: disk.size, read: (offset, length) => disk.read(offset, length) };
}
