/** ext2, ext3 and ext4 with the files of a directory, made by mke2fs. */
import { ftruncateSync, readSync } from 'node:fs';
import { BlockError, UsageError } from '../../block/errors.ts';
import { humanSize, parseSize } from '../../block/size.ts';
import { runProgram } from '../../posix/program.ts';
import { contentsOf } from './contents.ts';
import { estimate, type Layout, layoutOf } from './layout.ts';

export const EXT_TYPES = ['ext2', 'ext3', 'ext4'] as const;
export type ExtType = (typeof EXT_TYPES)[number];

export interface ExtWishes {
  readonly dir: string;
  readonly type: ExtType;
  /** Up to 16 bytes. */
  readonly label: string;
  /** Where in the file it begins, in bytes. */
  readonly start: number;
  /** In bytes; what suits it unless said. */
  readonly blockSize?: number | undefined;
}

/** The size of a file system, or the free space that it is to have. In bytes. */
export type WantedSize = { readonly size: number } | { readonly free: number };

export interface MadeExt {
  /** Bytes of the file system; the file ends with it. */
  readonly size: number;
  /** What mke2fs had to say. */
  readonly warnings: readonly string[];
}

const LONGEST_LABEL = 16;
/** Estimates that turn out to be too small are doubled this often. */
const ATTEMPTS = 6;
const SUPERBLOCK = 1024;

/** `SIZE`, or `+SIZE` of free space, which is 0 unless said. @throws UsageError */
export function wantedSize(text: string | undefined): WantedSize {
  if (text === undefined) return { free: 0 };
  try {
    return text.startsWith('+')
      ? { free: Number(parseSize(text.slice(1))) }
      : { size: Number(parseSize(text)) };
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`size: ${error.message}`) : error;
  }
}

/** @throws UsageError a label is too long. */
export function checkExtLabel(label: string): void {
  if (Buffer.byteLength(label) <= LONGEST_LABEL) return;
  throw new UsageError(`label: '${label}': expected at most ${LONGEST_LABEL} bytes`);
}

/**
 * Writes a file system into an open file, which is emptied first.
 * @throws UsageError the directory cannot be read or does not fit; BlockError EIO mke2fs fails.
 */
export async function makeExt(fd: number, wishes: ExtWishes, wanted: WantedSize): Promise<MadeExt> {
  const contents = await contentsOf(wishes.dir);
  const warnings: string[] = [];
  const write = async (bytes: number): Promise<MadeExt> => {
    const layout = layoutOf(bytes, contents, wishes.blockSize);
    const words = await runMke2fs(fd, wishes, layout);
    if (words !== '') warnings.push(words);
    return { size: layout.size, warnings };
  };
  if ('size' in wanted) {
    return write(wanted.size).catch(error => {
      throw isFull(error) ? new UsageError(`size: '${wishes.dir}' does not fit into it`) : error;
    });
  }
  let bytes = estimate(contents, wishes.type, wanted.free);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      const made = await write(bytes);
      const missing = wanted.free - freeBytes(fd, wishes.start);
      if (missing <= 0) return made;
      bytes += 2 * missing;
    } catch (error) {
      if (!isFull(error)) throw error;
      bytes *= 2;
    }
  }
  const tried = humanSize(BigInt(bytes));
  throw new BlockError('ENOSPC', `'${wishes.dir}' does not fit into ${tried}: give a size`);
}

function runMke2fs(
  fd: number,
  { dir, type, label, start }: ExtWishes,
  { size, blockSize, inodes }: Layout,
): Promise<string> {
  ftruncateSync(fd, 0);
  ftruncateSync(fd, start + size);
  const options = ['-q', '-F', '-t', type, '-b', `${blockSize}`, '-N', `${inodes}`];
  const place = ['-E', `offset=${start}`, '-d', dir];
  const labelled = label === '' ? [] : ['-L', label];
  const words = [...options, ...labelled, ...place, '/dev/fd/3', `${size / blockSize}`];
  return runProgram('mke2fs', words, { file: fd });
}

/** What mke2fs says when the file system is too small for the files. */
function isFull(error: unknown): boolean {
  return error instanceof BlockError && /could not allocate|no free space/i.test(error.message);
}

/** What the file system has free for users who are not root, in bytes. */
function freeBytes(fd: number, start: number): number {
  const superblock = Buffer.alloc(1024);
  readSync(fd, superblock, 0, superblock.length, start + SUPERBLOCK);
  const count = (low: number, high: number) =>
    superblock.readUInt32LE(low) + superblock.readUInt32LE(high) * 2 ** 32;
  const free = count(12, 0x158) - count(8, 0x154);
  return free * 1024 * 2 ** superblock.readUInt32LE(24);
}
