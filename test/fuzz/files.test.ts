/** Damaged images of every file system: an error that is one, and no hang. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { contiguous, isZero } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import { allExtents } from '../../src/block/emulate.ts';
import { findProgram } from '../../src/posix/program.ts';
import { fileDevice } from '../../src/stores/file/device.ts';
import { openFile } from '../../src/stores/file/open.ts';
import { Random } from '../../src/testing/model.ts';
import { survive } from '../files/contract.ts';
import { KINDS, type Kind, makeImage } from '../files/images.ts';
import { EDGES, fuzz } from './fuzz.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-fuzz-files-'));
after(() => rmSync(folder, { recursive: true }));

const SECTOR = 512;
/** Most of what describes a file system is at its start. */
const START = 256;

interface Original {
  readonly device: BlockDevice;
  /** The numbers of those that are not empty. */
  readonly sectors: readonly number[];
}

async function originalOf(name: string, kind: Kind): Promise<Original | undefined> {
  const made = await makeImage(mkdtempSync(join(folder, name.replaceAll(' ', '-'))), kind);
  if (!made) return undefined;
  const device = fileDevice(openFile(made.image, true));
  after(() => device.close?.());
  const sectors: number[] = [];
  let at = 0;
  for (const { length, zero } of await allExtents(device, 0n, Number(device.size))) {
    for (let start = at; !zero && start < at + length; start += SECTOR) {
      const bytes = contiguous(
        await device.read(BigInt(start), Math.min(SECTOR, at + length - start)),
      );
      if (!isZero(bytes)) sectors.push(start / SECTOR);
    }
    at += length;
  }
  return { device, sectors };
}

/** A number in one of the forms that file systems have, or a bit. */
function damage(sector: Buffer, random: Random): void {
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
}

/** The same damage whenever a sector is read. */
function damaged({ device, sectors }: Original, random: Random): BlockDevice {
  const changed = new Map<number, number>();
  for (let count = 1 + random.below(6); count > 0; count--) {
    const most = random.below(2) === 0 ? Math.min(START, sectors.length) : sectors.length;
    changed.set(sectors[random.below(most)]!, random.below(2 ** 31));
  }
  return {
    size: device.size,
    async read(offset, length) {
      const bytes = Buffer.from(contiguous(await device.read(offset, length)));
      for (const [sector, seed] of changed) {
        const start = sector * SECTOR - Number(offset);
        if (start < 0 || start + SECTOR > length) continue;
        damage(bytes.subarray(start, start + SECTOR), new Random(seed));
      }
      return bytes;
    },
  };
}

/** Those whose structures others have, too. */
const ALIKE = ['ext3', 'fat16', 'squashfs xz', 'squashfs zstd', 'squashfs lz4'];

for (const [name, kind] of Object.entries(KINDS)) {
  if (ALIKE.includes(name) || !kind.programs.every(program => findProgram(program))) continue;
  let original: Promise<Original | undefined> | undefined;
  const round = async (random: Random) => {
    original ??= originalOf(name, kind);
    const image = await original;
    if (image) await survive(damaged(image, random));
  };
  fuzz(`the file system ${name}`, round, { share: 0.05 });
}
