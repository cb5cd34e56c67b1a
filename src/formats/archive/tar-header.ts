import { BlockError } from '../../block/errors.ts';

export const SECTOR = 512;

/** What the header of a file in a tar archive says. */
export interface TarHeader {
  readonly name: string;
  /** Bytes that follow. */
  readonly size: number;
  /** `0` is an ordinary file. */
  readonly type: string;
  readonly sector: Buffer;
}

/** A part of a sparse file that has data. */
export interface TarRun {
  readonly offset: number;
  readonly length: number;
}

const [CHECKSUM, TYPE, MAGIC, PREFIX] = [148, 156, 257, 345] as const;
/** Where GNU's first format of sparse files has its map, whether there is more, and the size. */
const [MAP, HAS_MORE, REAL_SIZE] = [386, 482, 483] as const;
const [FIRST_RUNS, MORE_RUNS] = [4, 21] as const;

/** @throws BlockError EIO it is no header. */
export function readHeader(sector: Buffer, at: number): TarHeader {
  if (sumOf(sector) !== octalAt(sector, CHECKSUM, 8)) {
    throw bad(at === 0 ? 'it is no tar archive' : `the header at ${at} is damaged`);
  }
  const prefix = sector.toString('latin1', MAGIC, MAGIC + 6) === 'ustar\0';
  const folder = prefix ? textAt(sector, PREFIX, 155) : '';
  const name = textAt(sector, 0, 100);
  return {
    name: folder === '' ? name : `${folder}/${name}`,
    size: numberAt(sector, 124, 12),
    type: String.fromCharCode(sector[TYPE]! || 0x30),
    sector,
  };
}

/** Of a sparse file of GNU's first format: its size, and its map as far as it is in the header. */
export function readOldSparse({ sector }: TarHeader) {
  return {
    size: numberAt(sector, REAL_SIZE, 12),
    runs: runsAt(sector, MAP, FIRST_RUNS),
    hasMore: sector[HAS_MORE] !== 0,
  };
}

/** More of that map. */
export function readMoreRuns(sector: Buffer) {
  return { runs: runsAt(sector, 0, MORE_RUNS), hasMore: sector[24 * MORE_RUNS] !== 0 };
}

function runsAt(sector: Buffer, at: number, count: number): TarRun[] {
  const runs: TarRun[] = [];
  for (let index = 0; index < count; index++) {
    const place = at + 24 * index;
    if (sector[place] === 0) break;
    runs.push({ offset: numberAt(sector, place, 12), length: numberAt(sector, place + 12, 12) });
  }
  return runs;
}

/** The bytes of a header, where those of the sum itself count as spaces. */
function sumOf(sector: Buffer): number {
  let sum = 8 * 0x20;
  for (const [index, byte] of sector.entries()) {
    if (index < CHECKSUM || index >= CHECKSUM + 8) sum += byte;
  }
  return sum;
}

/** Octal digits, or bytes of a number where the first bit is set. */
function numberAt(sector: Buffer, at: number, length: number): number {
  const field = sector.subarray(at, at + length);
  if (field[0]! & 0x80) {
    const value = BigInt(`0x${field.toString('hex')}`) & ((1n << BigInt(8 * length - 1)) - 1n);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw bad('a number in a header is too large');
  }
  return octalAt(sector, at, length);
}

function octalAt(sector: Buffer, at: number, length: number): number {
  const digits = /^[ \0]*([0-7]*)/.exec(sector.toString('latin1', at, at + length))![1]!;
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function textAt(sector: Buffer, at: number, length: number): string {
  const field = sector.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

export function bad(words: string): BlockError {
  return new BlockError('EIO', `tar: ${words}`);
}
