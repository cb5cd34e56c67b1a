/** Disks in memory, damaged by a seed: only what is changed is copied. */

import { isZero } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import type { Random } from '../../src/testing/model.ts';
import { EDGES } from './fuzz.ts';

const SECTOR = 512;
/** Structures with checksums are no longer, and aligned to their own size. */
const PAGE = 1 << 14;
/** Most of what describes a file system is at its start. */
const START = 256;

export interface Original {
  readonly bytes: Buffer;
  /** The numbers of those that are not empty. */
  readonly sectors: readonly number[];
}

/** Makes right again the checksums that are concerned by a change at a place of a disk. */
export type Repair = (disk: Changed, place: number) => void;

export function originalOf(bytes: Buffer): Original {
  const sectors: number[] = [];
  for (let at = 0; at < bytes.length; at += SECTOR)
    if (!isZero(bytes.subarray(at, at + SECTOR))) sectors.push(at / SECTOR);
  return { bytes, sectors };
}

/** The bytes of an original and, over them, what was changed. */
export class Changed {
  readonly original: Buffer;
  readonly #pages = new Map<number, Buffer>();

  constructor(original: Buffer) {
    this.original = original;
  }

  /** A page that may be changed in place. */
  page(number: number): Buffer {
    const found = this.#pages.get(number) ?? Buffer.from(this.before(number));
    this.#pages.set(number, found);
    return found;
  }

  /** The page in which a place lies, and where it begins. */
  pageAt(place: number): {
    readonly start: number;
    readonly page: Buffer;
    readonly before: Buffer;
  } {
    const number = Math.floor(place / PAGE);
    return { start: number * PAGE, page: this.page(number), before: this.before(number) };
  }

  before(number: number): Buffer {
    return this.original.subarray(number * PAGE, (number + 1) * PAGE);
  }

  /** As it is now; nobody writes into it. */
  read(at: number, length: number): Buffer {
    const bytes = this.original.subarray(at, at + length);
    const end = at + length;
    let copy: Buffer | undefined;
    for (const [number, page] of this.#pages) {
      const start = number * PAGE;
      if (start >= end || start + page.length <= at) continue;
      copy ??= Buffer.from(bytes);
      page.copy(copy, Math.max(0, start - at), Math.max(0, at - start), end - start);
    }
    return copy ?? bytes;
  }

  write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const { start, page } = this.pageAt(at + done);
      const part = bytes.subarray(done, done + start + page.length - at - done);
      page.set(part, at + done - start);
      done += part.length;
    }
  }
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
  const disk = new Changed(bytes);
  const places: number[] = [];
  for (let count = 1 + random.below(6); count > 0; count--) {
    const most = random.below(2) === 0 ? Math.min(START, sectors.length) : sectors.length;
    const place = sectors[random.below(most)]! * SECTOR;
    const { start, page } = disk.pageAt(place);
    const within = place - start;
    places.push(place + damage(page.subarray(within, within + SECTOR), random));
  }
  for (const place of places) repair?.(disk, place);
  return {
    size: BigInt(bytes.length),
    read: (offset, length) => disk.read(Number(offset), length),
  };
}
