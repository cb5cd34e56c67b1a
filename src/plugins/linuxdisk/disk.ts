import { ftruncateSync, writeSync } from 'node:fs';
import {
  backupSectors,
  gptTables,
  guidFor,
  LINUX_FILESYSTEM,
} from '../../formats/partition-table/gpt.ts';
import { SECTOR } from '../../formats/partition-table/mbr.ts';

/** The partition begins here. */
export const START = 1 << 20;
const BACKUP = Number(backupSectors(1)) * SECTOR;

/** Puts a partition table around the file system of a directory, which fills the file from START on. */
export function writeTables(fd: number, size: number, dir: string): void {
  ftruncateSync(fd, START + size + BACKUP);
  const sectors = BigInt((START + size + BACKUP) / SECTOR);
  const partition = {
    start: BigInt(START / SECTOR),
    sectors: BigInt(size / SECTOR),
    type: LINUX_FILESYSTEM,
    guid: guidFor('linuxdisk', dir, '1'),
    name: '',
    bootable: true,
  };
  const { primary, backup } = gptTables([partition], sectors, guidFor('linuxdisk', dir));
  writeSync(fd, primary, 0, primary.length, 0);
  writeSync(fd, backup, 0, backup.length, START + size);
}
