import { createHash } from 'node:crypto';
import { constantDevice, paddingDevice } from '../../block/constant.ts';
import { joinDevices } from '../../block/join.ts';
import { checkFatLabel, lazyFile, readTree } from '../../content/fat/files.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { fat32Device } from '../../formats/fat32/fat32.ts';
import { mbrSector, SECTOR } from '../../formats/partition-table/mbr.ts';

const FAT32_LBA = 0x0c;
/** Sectors in front of the partition. */
const START = 2048;
const LARGEST = 2n ** 41n - 512n;

export default definePlugin({
  name: 'floppy',
  description: 'a directory as a disk with a FAT32 file system',
  parameters: {
    dir: { type: 'path', bare: true, required: true, help: 'Directory with the files' },
    label: { type: 'string', default: 'NBDKITFLOPY', help: 'Label of the file system' },
    size: {
      type: 'size',
      minimum: (START + 64) * SECTOR,
      maximum: LARGEST,
      help: 'Size of the disk; otherwise what the files need',
    },
  },
  create({ dir, label, size }) {
    checkFatLabel(label);
    const sectors = size === undefined ? undefined : Number(size / BigInt(SECTOR)) - START;
    const volume = fat32Device(readTree(dir, dir), {
      label,
      hiddenSectors: START,
      sectors,
      serial: createHash('sha256').update(`${dir}\0${label}`).digest().readUInt32LE(),
      open: lazyFile,
    });
    const length = volume.size / BigInt(SECTOR);
    const device = joinDevices([
      constantDevice(mbrSector([{ start: BigInt(START), sectors: length, type: FAT32_LBA }])),
      paddingDevice(BigInt((START - 1) * SECTOR)),
      volume,
      paddingDevice((size ?? 0n) % BigInt(SECTOR)),
    ]);
    return sourceOf(() => device);
  },
});
