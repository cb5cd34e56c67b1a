/** What is damaged: file systems, each with a tree, and disks with volumes. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BlockDevice } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';
import { gptTables, LINUX_FILESYSTEM } from '../../src/formats/partition-table/gpt.ts';
import { EXTENDED, mbrSector } from '../../src/formats/partition-table/mbr.ts';
import { listVolumes, openFileSystems } from '../../src/inspect/volumes.ts';
import { findProgram } from '../../src/posix/program.ts';
import type { Random } from '../../src/testing/model.ts';
import { survive } from '../files/contract.ts';
import { KINDS, makeImage } from '../files/images.ts';
import { describe, EXTENT, EXTENTS, physicalVolume } from '../peer/lvm.ts';
import { REPAIRS } from './checksums.ts';
import { damagedDisk, originalOf } from './damage.ts';

/** Damages a disk anew and reads all of it that can be read. */
export type Round = (random: Random) => Promise<void>;

export interface Fuzzed {
  /** What has to be installed. */
  readonly programs: readonly string[];
  /** Makes the disk in a folder. @returns undefined where it cannot be made. */
  prepare(folder: string): Promise<Round | undefined>;
}

type Survive = (device: BlockDevice) => Promise<unknown>;

function roundOf(name: string, bytes: Buffer, all: Survive): Round {
  const original = originalOf(bytes);
  const repair = REPAIRS[name]?.(bytes);
  return async random => {
    // What is damaged so that its checksum tells is not looked at any further.
    const repaired = random.below(4) > 0 ? repair : undefined;
    await all(damagedDisk(original, random, repaired));
  };
}

/** Those whose structures others have, too. */
const ALIKE = ['ext3', 'fat16', 'squashfs xz', 'squashfs zstd', 'squashfs lz4'];

const fileSystems = Object.entries(KINDS)
  .filter(([name]) => !ALIKE.includes(name))
  .map(([name, kind]): [string, Fuzzed] => [
    name,
    {
      programs: kind.programs,
      async prepare(folder) {
        const own = join(folder, name.replaceAll(' ', '-'));
        mkdirSync(own);
        const made = await makeImage(own, kind);
        return made && roundOf(name, readFileSync(made.image), survive);
      },
    },
  ]);

const MIB = 1 << 20;
const SECTORS_OF_MIB = BigInt(MIB / 512);

function withGpt(): Buffer {
  const disk = Buffer.alloc(8 * MIB);
  const partitions = [1n, 3n, 4n].map(start => ({
    start: start * SECTORS_OF_MIB,
    sectors: SECTORS_OF_MIB,
    type: LINUX_FILESYSTEM,
    guid: LINUX_FILESYSTEM,
    name: 'part',
  }));
  const tables = gptTables(partitions, BigInt(disk.length / 512), LINUX_FILESYSTEM);
  tables.primary.copy(disk);
  tables.backup.copy(disk, disk.length - tables.backup.length);
  return disk;
}

function withMbr(): Buffer {
  const disk = Buffer.alloc(8 * MIB);
  const put = (at: bigint, ...entries: Parameters<typeof mbrSector>[0][number][]) =>
    mbrSector(entries).copy(disk, Number(at) * 512);
  const unit = SECTORS_OF_MIB;
  const own = { start: 63n, sectors: unit - 63n, type: 0x83 };
  put(0n, { ...own, sectors: unit }, { start: 2n * unit, sectors: 6n * unit, type: EXTENDED });
  put(2n * unit, own, { start: unit, sectors: unit, type: EXTENDED });
  put(3n * unit, own, { start: 3n * unit, sectors: unit, type: EXTENDED });
  put(5n * unit, own);
  return disk;
}

function withLvm(): Buffer {
  const [first, second] = ['a'.repeat(32), 'b'.repeat(32)];
  const disk = Buffer.alloc(EXTENTS + 100 * EXTENT);
  const text = describe(
    { pv0: first, pv1: second },
    {
      root: [{ extents: 2, stripes: [['pv0', 3]] }],
      swap: [
        { extents: 1, stripes: [['pv0', 5]] },
        {
          extents: 4,
          stripes: [
            ['pv0', 10],
            ['pv0', 20],
          ],
        },
      ],
    },
  );
  physicalVolume(first, text, disk.length).copy(disk);
  return disk;
}

/** As errors of JavaScript speak. */
const OURS = /undefined|null|is not a|out of range|Invalid|buffer bounds|BigInt/;
const LENGTH = 4096;

/** Looks for all volumes on a disk and reads from each. */
async function surviveVolumes(device: BlockDevice): Promise<void> {
  const failed = (_name: string, words: string) => assert.doesNotMatch(words, OURS);
  try {
    const { volumes } = await listVolumes([device], failed);
    await openFileSystems(volumes, failed);
    for (const { device: volume, size } of volumes) {
      assert.ok(size >= 0n && volume.size >= 0n);
      const length = volume.size < BigInt(LENGTH) ? Number(volume.size) : LENGTH;
      if (length === 0) continue;
      await volume.read(0n, length);
      await volume.read(volume.size - BigInt(length), length);
    }
  } catch (error) {
    assert.ok(error instanceof BlockError, String((error as Error).stack));
  }
}

const tables = Object.entries({ GPT: withGpt, MBR: withMbr, LVM: withLvm }).map(
  ([name, make]): [string, Fuzzed] => [
    name,
    { programs: [], prepare: async () => roundOf(name, make(), surviveVolumes) },
  ],
);

/** All that can be made here, under names for people. */
export const FUZZED: ReadonlyMap<string, Fuzzed> = new Map(
  [...fileSystems, ...tables].filter(([, { programs }]) =>
    programs.every(program => findProgram(program)),
  ),
);
