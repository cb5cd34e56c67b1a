import { constants, lstatSync, readdirSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../block/errors.ts';
import type { FatDirectory, FatFile, FatTimes } from '../../formats/fat32/tree.ts';

const LARGEST_FILE = 0xffffffff;
const MAX_DEPTH = 100;

/** @throws UsageError it is no label for FAT. */
export function checkFatLabel(label: string): void {
  if (/^[^\x00-\x1f"*+,./:;<=>?[\\\]|\x7f-\uffff]{1,11}$/.test(label)) return;
  throw new UsageError(`label: '${label}': expected 1 to 11 ASCII letters, digits and the like`);
}

/**
 * A directory with everything below; only regular files and directories count.
 * @param leftOut is told of what does not. @throws UsageError
 */
export function readTree(
  path: string,
  name: string,
  leftOut: (path: string) => void = () => {},
  depth = 0,
): FatDirectory {
  if (depth > MAX_DEPTH) throw new UsageError(`'${path}': nested more than ${MAX_DEPTH} deep`);
  const directories: FatDirectory[] = [];
  const files: FatFile[] = [];
  for (const entry of entriesOf(path)) {
    const inner = join(path, entry);
    const stat = statOf(inner);
    if (stat.isDirectory()) directories.push(readTree(inner, entry, leftOut, depth + 1));
    else if (!stat.isFile()) leftOut(inner);
    if (!stat.isFile()) continue;
    if (stat.size > LARGEST_FILE) throw new UsageError(`'${inner}': FAT holds files up to 4 GB`);
    files.push({ name: entry, times: timesOf(stat), size: stat.size, path: inner });
  }
  return { name, times: timesOf(statOf(path)), directories, files };
}

function entriesOf(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    throw new UsageError(`dir: '${path}': ${reasonOf(error)}`);
  }
}

function statOf(path: string): Stats {
  try {
    return lstatSync(path);
  } catch (error) {
    throw new UsageError(`dir: '${path}': ${reasonOf(error)}`);
  }
}

function timesOf({ birthtime, mtime, atime }: Stats): FatTimes {
  return { created: birthtime, modified: mtime, accessed: atime };
}

/** A file that is opened for each read, so that a disk of many files needs few descriptors. */
export function lazyFile({ path, size }: FatFile): BlockDevice {
  return {
    size: BigInt(size),
    multiConn: true,
    read: async (offset, length, options) => {
      const bytes = options?.memory?.(length) ?? Buffer.allocUnsafeSlow(length);
      try {
        await readExactly(path, Number(offset), bytes);
      } catch (error) {
        const message = `'${path}': ${reasonOf(error)}`;
        throw new BlockError(errnoOf(error), message, { offset, cause: error });
      }
      return bytes;
    },
  };
}

async function readExactly(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  // Something else may stand there by now, and must not make the server wait.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    for (let done = 0; done < bytes.length; ) {
      const length = bytes.length - done;
      const { bytesRead } = await file.read(bytes, done, length, offset + done);
      if (bytesRead === 0) throw new Error('has become shorter since the server was started');
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}
