import { UsageError } from '../../block/errors.ts';
import { humanSize } from '../../block/size.ts';
import {
  backupSectors,
  firstUsable,
  gptTables,
  guidFor,
} from '../../formats/partition-table/gpt.ts';
import {
  EXTENDED,
  MBR_LIMIT,
  type MbrEntry,
  mbrSector,
  SECTOR,
} from '../../formats/partition-table/mbr.ts';

/** A file that becomes a partition, and what applies to it. */
export interface PartitionFile {
  readonly path: string;
  readonly name: string;
  /** Bytes. */
  readonly size: bigint;
  /** Bytes; a power of 2, at least a sector. */
  readonly alignment: bigint;
  readonly mbrType: number;
  readonly typeGuid: string;
}

/** What stands where on the disk: a table, or the file of that index. Offsets in bytes. */
export type Region =
  | { readonly offset: bigint; readonly bytes: Buffer }
  | { readonly offset: bigint; readonly file: number };

export interface Layout {
  /** In order; what lies between them is padding. */
  readonly regions: readonly Region[];
  /** Bytes. */
  readonly size: bigint;
}

const BYTES = BigInt(SECTOR);
/** The first partitions in the MBR itself when there are too many for it. */
const PRIMARY = 3;
const MBR_PARTITIONS = 4;

interface Placed {
  readonly file: PartitionFile;
  readonly start: bigint;
  readonly sectors: bigint;
  readonly end: bigint;
}

/** Rounds up; the file follows `sector` at the alignment it asks for. */
function place(file: PartitionFile, sector: bigint): Placed {
  const step = file.alignment / BYTES;
  const start = ((sector + step - 1n) / step) * step;
  const sectors = (file.size + BYTES - 1n) / BYTES;
  return { file, start, sectors, end: start + sectors };
}

/** Files in a row from `first` on; `gap` sectors are kept free in front of each. */
function placeAll(files: readonly PartitionFile[], first: bigint, gap: bigint): Placed[] {
  const placed: Placed[] = [];
  for (const file of files) placed.push(place(file, (placed.at(-1)?.end ?? first) + gap));
  return placed;
}

const fileRegion = ({ start }: Placed, file: number): Region => ({ offset: start * BYTES, file });

/** A GPT with its copy at the end. */
export function gptLayout(files: readonly PartitionFile[]): Layout {
  const placed = placeAll(files, firstUsable(files.length), 0n);
  const backupAt = placed.at(-1)!.end;
  const sectors = backupAt + backupSectors(files.length);
  const partitions = placed.map(({ file, start, sectors: count }, index) => ({
    start,
    sectors: count,
    type: file.typeGuid,
    guid: guidFor('partition', String(index), file.path),
    name: file.name,
    bootable: index === 0,
  }));
  const diskGuid = guidFor('disk', ...files.map(({ path }) => path));
  const { primary, backup } = gptTables(partitions, sectors, diskGuid);
  return {
    regions: [
      { offset: 0n, bytes: primary },
      ...placed.map(fileRegion),
      { offset: backupAt * BYTES, bytes: backup },
    ],
    size: sectors * BYTES,
  };
}

/**
 * An MBR; with more than four files the fourth partition is an extended one, in which each of the
 * others has a table of its own in front of it.
 * @throws UsageError when the disk would be too large for it.
 */
export function mbrLayout(files: readonly PartitionFile[]): Layout {
  const extended = files.length > MBR_PARTITIONS;
  const primary = placeAll(extended ? files.slice(0, PRIMARY) : files, 1n, 0n);
  const extendedAt = primary.at(-1)!.end;
  const logical = extended ? placeAll(files.slice(PRIMARY), extendedAt, 1n) : [];
  const end = (logical.at(-1) ?? primary.at(-1))!.end;
  if (end > MBR_LIMIT) {
    throw new UsageError(
      `partition-type: an MBR can hold ${humanSize(MBR_LIMIT * BYTES)} at most, ` +
        `and the disk has ${humanSize(end * BYTES)} bytes: use partition-type=gpt`,
    );
  }
  const entries = primary.map((placed, index) => entryOf(placed, 0n, index === 0));
  if (extended) {
    entries.push({ start: extendedAt, sectors: end - extendedAt, type: EXTENDED });
  }
  return {
    regions: [
      { offset: 0n, bytes: mbrSector(entries) },
      ...primary.map(fileRegion),
      ...logical.flatMap((placed, index) => [
        extendedTable(logical, index, extendedAt),
        fileRegion(placed, PRIMARY + index),
      ]),
    ],
    size: end * BYTES,
  };
}

/** The table in front of a logical partition: where that is, and where the next table is. */
function extendedTable(logical: readonly Placed[], index: number, extendedAt: bigint): Region {
  const tableAt = (of: number) => (of === 0 ? extendedAt : logical[of - 1]!.end);
  const own = tableAt(index);
  const entries = [entryOf(logical[index]!, own, false)];
  const next = logical[index + 1];
  if (next) {
    const at = tableAt(index + 1);
    entries.push({ start: at - extendedAt, sectors: next.end - at, type: EXTENDED });
  }
  return { offset: own * BYTES, bytes: mbrSector(entries) };
}

function entryOf({ file, start, sectors }: Placed, from: bigint, bootable: boolean): MbrEntry {
  return { start: start - from, sectors, type: file.mbrType, bootable };
}
