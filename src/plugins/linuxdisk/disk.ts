import { ftruncateSync, readSync, writeSync } from 'node:fs';
import {
  backupSectors,
  gptTables,
  guidFor,
  LINUX_FILESYSTEM,
} from '../../formats/partition-table/gpt.ts';
import { SECTOR } from '../../formats/partition-table/mbr.ts';
import { runProgram } from '../../posix/program.ts';
import type { Layout } from './layout.ts';

export interface DiskWishes {
  readonly dir: string;
  readonly type: string;
  readonly label: string;
}

/** The partition begins here. */
const START = 1 << 20;
const BACKUP = Number(backupSectors(1)) * SECTOR;
const SUPERBLOCK = START + 1024;

/**
 * Writes a disk with one partition, whose file system holds the files of a directory.
 * @returns warnings of mke2fs.
 * @throws BlockError EIO when mke2fs fails.
 */
export async function writeDisk(
  fd: number,
  { dir, type, label }: DiskWishes,
  { size, blockSize, inodes }: Layout,
): Promise<string> {
  ftruncateSync(fd, 0);
  ftruncateSync(fd, START + size + BACKUP);
  const options = ['-q', '-F', '-t', type, '-b', `${blockSize}`, '-N', `${inodes}`];
  const place = ['-E', `offset=${START}`, '-d', dir];
  const labelled = label === '' ? [] : ['-L', label];
  const words = [...options, ...labelled, ...place, '/dev/fd/3', `${size / blockSize}`];
  const warnings = await runProgram('mke2fs', words, { file: fd });
  writeTables(fd, size, dir);
  return warnings;
}

function writeTables(fd: number, size: number, dir: string): void {
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

/** What the file system has free for users who are not root, in bytes. */
export function freeBytes(fd: number): number {
  const superblock = Buffer.alloc(1024);
  readSync(fd, superblock, 0, superblock.length, SUPERBLOCK);
  const count = (low: number, high: number) =>
    superblock.readUInt32LE(low) + superblock.readUInt32LE(high) * 2 ** 32;
  const free = count(12, 0x158) - count(8, 0x154);
  return free * 1024 * 2 ** superblock.readUInt32LE(24);
}
