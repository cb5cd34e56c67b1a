/** A tree of files as file systems are filled with, and what they have to give back. */
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../src/testing/model.ts';

export interface TreeOptions {
  /** There are links, permissions and the like. */
  readonly posix: boolean;
  /** Names have spaces and bytes that are not ASCII. */
  readonly oddNames: boolean;
}

/** Sizes at which file systems change how they keep a file. */
const SIZES = [0, 1, 30, 59, 60, 61, 200, 511, 512, 513, 2047, 4096, 4097, 12 * 1024 + 1, 150_000];
/** So many names need more than one block. */
const MANY = 60;
/** A second that every file system can say, even FAT. */
const TIME = 1_600_000_000;

/** Fills a folder that is there. */
export function makeTree(folder: string, { posix, oddNames }: TreeOptions): void {
  const random = new Random(1);
  const write = (name: string, bytes: Uint8Array | string) => {
    writeFileSync(join(folder, name), bytes);
    utimesSync(join(folder, name), TIME, TIME);
  };
  // mke2fs leaves out zeroes at the end of a file.
  for (const size of SIZES)
    write(`size-${size}`, random.bytes(size).fill(1, Math.max(0, size - 1)));
  mkdirSync(join(folder, 'etc'));
  write('etc/os-release', 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian"\n');
  write('etc/hostname', 'box\n');
  write('etc/fstab', '/dev/vda1 / auto defaults 0 1\n');
  mkdirSync(join(folder, 'a/b/c/d'), { recursive: true });
  write('a/b/c/d/deep', 'deep\n');
  mkdirSync(join(folder, 'empty'));
  mkdirSync(join(folder, 'many'));
  for (let index = 0; index < MANY; index++) {
    write(`many/a-name-that-is-rather-long-for-a-file-${index}`, String(index));
  }
  sparse(join(folder, 'sparse'));
  if (oddNames) {
    write('a name with spaces', '1');
    write('ümlaut', '2');
  }
  if (!posix) return;
  symlinkSync('etc/hostname', join(folder, 'link'));
  symlinkSync('/etc/hostname', join(folder, 'absolute'));
  symlinkSync('../../../../etc/hostname', join(folder, 'a/outward'));
  symlinkSync(`etc/${'./'.repeat(60)}hostname`, join(folder, 'long-link'));
  symlinkSync('loop-2', join(folder, 'loop-1'));
  symlinkSync('loop-1', join(folder, 'loop-2'));
  chmodSync(join(folder, 'size-1'), 0o4755);
  chmodSync(join(folder, 'empty'), 0o1777);
  if (oddNames) linkSync(join(folder, 'size-4097'), join(folder, 'hard'));
}

function sparse(path: string): void {
  const fd = openSync(path, 'w');
  writeSync(fd, 'middle', 300_000);
  writeSync(fd, 'end', 699_000);
  closeSync(fd);
  truncateSync(path, 700_000);
  utimesSync(path, TIME, TIME);
}
