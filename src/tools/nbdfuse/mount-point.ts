import { lstatSync, readFileSync, realpathSync, type Stats, statfsSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { reasonOf, UsageError } from '../../block/errors.ts';

/** Where to mount. */
export interface MountPoint {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly over: 'file' | 'folder';
  /** What the file of the disk is called. */
  readonly name: string;
}

const DEFAULT_NAME = 'nbd';
const FUSE_MAGIC = 0x65735546;

/**
 * A file, which the disk takes the place of; a folder, in which it is `nbd`; or a name in a folder.
 * @param folderOnly it must be a folder.
 * @throws UsageError there is no such place.
 */
export function mountPoint(word: string, folderOnly = false): MountPoint {
  const found = statOf(word);
  if (folderOnly && !found?.isDirectory()) throw new UsageError(`${word}: is no folder`);
  if (found?.isFile()) return { path: realpathSync(word), over: 'file', name: basename(word) };
  if (found?.isDirectory()) return { path: realpathSync(word), over: 'folder', name: DEFAULT_NAME };
  if (found) throw new UsageError(`${word}: is neither a file nor a folder`);
  const name = basename(word);
  const folder = dirname(word);
  if (!word.includes('/') || word.endsWith('/') || !statOf(folder)?.isDirectory()) {
    throw new UsageError(`${word}: is not there: expected a file, a folder, or FOLDER/NAME`);
  }
  if (lstatSync(word, { throwIfNoEntry: false })) {
    throw new UsageError(`${word}: is a symbolic link to nothing`);
  }
  return { path: realpathSync(folder), over: 'folder', name };
}

function statOf(path: string): Stats | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    // What is known of a file may outlive its file system for a second.
    if (found && statfsSync(path).type === FUSE_MAGIC) refuseMounted(path);
    return found;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return undefined;
    const lost = 'what was mounted there has ended: fusermount3 -u it first';
    throw new UsageError(`${path}: ${code === 'ENOTCONN' ? lost : reasonOf(error)}`);
  }
}

/** Another disk there would hide the first, and outlive it. @throws UsageError */
function refuseMounted(path: string): void {
  const point = realpathSync(path).replace(/[ \t\n\\]/g, octal);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const ours = mounts.some(
    line => line.includes(` ${point} `) && line.includes(' - fuse.nbdfuse '),
  );
  if (ours) throw new UsageError(`${path}: has a disk already: fusermount3 -u it first`);
}

/** As the kernel writes what would end a word. */
const octal = (sign: string) => `\\${sign.charCodeAt(0).toString(8).padStart(3, '0')}`;
