import { lstatSync, realpathSync, type Stats, statfsSync, statSync } from 'node:fs';
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
    if (found) statfsSync(path);
    return found;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return undefined;
    const lost = 'what was mounted there has ended: fusermount3 -u it first';
    throw new UsageError(`${path}: ${code === 'ENOTCONN' ? lost : reasonOf(error)}`);
  }
}
