import type { Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../../block/errors.ts';

/** What a directory tree needs in a file system. */
export interface Contents {
  readonly inodes: number;
  /** Data and directories, in blocks of 4096 bytes. */
  readonly blocks: number;
}

const BLOCK = 4096;
/** A directory entry beside its name, and the longest symbolic link that needs no block. */
const ENTRY = 12;
const SHORT_LINK = 59;

/** @throws UsageError naming what cannot be read. */
export async function contentsOf(dir: string): Promise<Contents> {
  const counted = new Set<string>();
  let inodes = 0;
  let blocks = 0;
  const folders = [dir];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    let names = 0;
    for await (const { name } of await readable(folder, opendir(folder))) {
      const path = join(folder, name);
      const stat = await readable(path, lstat(path));
      names += ENTRY + Buffer.byteLength(name);
      if (stat.isDirectory()) folders.push(path);
      else if (stat.nlink === 1 || !counted.has(identity(stat))) {
        if (stat.nlink > 1) counted.add(identity(stat));
        inodes += 1;
        blocks += blocksOf(stat);
      }
    }
    inodes += 1;
    blocks += 1 + Math.ceil(names / BLOCK);
  }
  return { inodes, blocks };
}

function identity({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/** Holes stay holes. */
function blocksOf(stat: Stats): number {
  if (stat.isSymbolicLink()) return stat.size > SHORT_LINK ? 1 : 0;
  return stat.isFile() ? Math.ceil(Math.min(stat.size, stat.blocks * 512) / BLOCK) : 0;
}

async function readable<T>(path: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`dir: '${path}': cannot be read: ${code}`);
  }
}
