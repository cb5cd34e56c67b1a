import { labelBytes } from './directory.ts';
import { type Geometry, SECTOR } from './geometry.ts';

const ROOT_CLUSTER = 2;
const BACKUP = 6;
const HARD_DISK = 0xf8;
const SIGNATURE = 0xaa55;

export interface BootOptions {
  /** Sectors in front of the file system, on the whole disk. */
  readonly hiddenSectors: number;
  readonly label: string;
  readonly serial: number;
  /** The first cluster that is free. */
  readonly nextFree: number;
}

/** The reserved sectors: boot sector, FSInfo and their copies. Nothing boots from them. */
export function reservedBytes(geometry: Geometry, options: BootOptions): Buffer {
  const bytes = Buffer.alloc(geometry.reservedSectors * SECTOR);
  const boot = bootSector(geometry, options);
  const info = infoSector(geometry, options.nextFree);
  for (const sector of [0, BACKUP]) {
    boot.copy(bytes, sector * SECTOR);
    info.copy(bytes, (sector + 1) * SECTOR);
  }
  return bytes;
}

function bootSector(geometry: Geometry, { hiddenSectors, label, serial }: BootOptions): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.set([0xeb, 0x58, 0x90]);
  sector.write('MSWIN4.1', 3, 'latin1');
  sector.writeUInt16LE(SECTOR, 11);
  sector[13] = geometry.clusterSectors;
  sector.writeUInt16LE(geometry.reservedSectors, 14);
  sector[16] = 2;
  sector[21] = HARD_DISK;
  sector.writeUInt16LE(63, 24);
  sector.writeUInt16LE(255, 26);
  sector.writeUInt32LE(hiddenSectors, 28);
  sector.writeUInt32LE(geometry.sectors, 32);
  sector.writeUInt32LE(geometry.fatSectors, 36);
  sector.writeUInt32LE(ROOT_CLUSTER, 44);
  sector.writeUInt16LE(1, 48);
  sector.writeUInt16LE(BACKUP, 50);
  sector[64] = 0x80;
  sector[66] = 0x29;
  sector.writeUInt32LE(serial, 67);
  labelBytes(label).copy(sector, 71);
  sector.write('FAT32   ', 82, 'latin1');
  // For whoever boots it all the same: jump to itself.
  sector.set([0xeb, 0xfe], 90);
  sector.writeUInt16LE(SIGNATURE, SECTOR - 2);
  return sector;
}

function infoSector({ clusters }: Geometry, nextFree: number): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.write('RRaA', 0, 'latin1');
  sector.write('rrAa', 484, 'latin1');
  sector.writeUInt32LE(clusters + 2 - nextFree, 488);
  sector.writeUInt32LE(nextFree < clusters + 2 ? nextFree : 0xffffffff, 492);
  sector.writeUInt16LE(SIGNATURE, SECTOR - 2);
  return sector;
}
