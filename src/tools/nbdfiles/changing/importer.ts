import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { BlockError, errnoOf, reasonOf } from '../../../block/errors.ts';
import { bytesOf, nameOf } from '../../../formats/fs/names.ts';
import type { Place } from '../../../formats/fs/tree.ts';
import type { Batch, Wishes } from './batch.ts';
import type { Editor } from './editor.ts';

/** What is in a directory of a disk, by its names. */
type Existing = ReadonlyMap<string, Place>;

const NOTHING: Existing = new Map();
const SLASH = Buffer.from('/');

/**
 * Copies files and directories of this machine into a directory of a disk, with their owners,
 * permissions and times. Directories that are there are filled and stay as they are.
 */
export class Importer {
  readonly #editor: Editor;
  readonly #leftOut: (path: string, type: string) => void;

  /** @param leftOut is told of what has no place on a disk. */
  constructor(editor: Editor, leftOut: (path: string, type: string) => void) {
    this.#editor = editor;
    this.#leftOut = leftOut;
  }

  /** All that is in a folder. @throws as `copy` */
  async copyAll(folder: string, directory: string): Promise<void> {
    const names = await readable(folder, readdir(folder, { encoding: 'buffer' }));
    const paths = names.map(name => join(folder, nameOf(name)));
    await this.copy(paths, directory);
  }

  /** @param local as `nameOf` has them. @throws BlockError a file cannot be read, or something else is in its place. */
  async copy(local: readonly string[], directory: string): Promise<void> {
    const parent = await this.#editor.tree.find(directory);
    if (parent.node.stat.type !== 'directory') {
      throw new BlockError('EINVAL', `${directory}: is no directory`);
    }
    await this.#editor.change(parent, async batch => {
      const existing = await this.#existing(parent);
      for (const path of local) {
        const whole = resolve(path);
        await this.#one(batch, bytesOf(whole), basename(whole), existing);
      }
    });
  }

  async #one(batch: Batch, path: Buffer, name: string, existing: Existing): Promise<void> {
    const shown = nameOf(path);
    const stat = await readable(shown, lstat(path, { bigint: true }));
    const wishes = wishesOf(stat);
    const found = existing.get(name);
    if (found && found.path === found.mount.path) {
      throw new BlockError('EINVAL', `${found.path}: a file system is mounted there: copy into it`);
    }
    if (stat.isDirectory()) return this.#directory(batch, path, name, { found, wishes });
    if (found?.node.stat.type === 'directory') {
      throw new BlockError('EINVAL', `${shown}: a directory is in its place`);
    }
    if (found) batch.remove(name, false);
    if (stat.isFile()) batch.file(name, { content: { path: shown }, ...wishes });
    else if (stat.isSymbolicLink()) {
      const target = await readable(shown, readlink(path, { encoding: 'buffer' }));
      batch.symlink(name, nameOf(target), { ...wishes, mode: 0o777 });
    } else if (stat.isFIFO()) batch.special(name, 'fifo', wishes);
    else if (stat.isCharacterDevice()) batch.special(name, 'character', wishes, numbersOf(stat));
    else if (stat.isBlockDevice()) batch.special(name, 'block', wishes, numbersOf(stat));
    else this.#leftOut(shown, 'socket');
  }

  async #directory(
    batch: Batch,
    path: Buffer,
    name: string,
    { found, wishes }: { found: Place | undefined; wishes: Wishes },
  ): Promise<void> {
    if (found && found.node.stat.type !== 'directory') {
      throw new BlockError('EINVAL', `${nameOf(path)}: a file is in its place`);
    }
    if (!found) batch.directory(name, wishes);
    batch.enter(name);
    const existing = found ? await this.#existing(found) : NOTHING;
    const names = await readable(nameOf(path), readdir(path, { encoding: 'buffer' }));
    for (const inner of names.sort(Buffer.compare)) {
      await this.#one(batch, Buffer.concat([path, SLASH, inner]), nameOf(inner), existing);
    }
    batch.leave();
  }

  async #existing(directory: Place): Promise<Existing> {
    const places = new Map<string, Place>();
    for (const { name, place } of await this.#editor.tree.children(directory)) {
      places.set(name, await place());
    }
    return places;
  }
}

function wishesOf({ mode, uid, gid, mtimeNs }: BigIntStats): Wishes {
  const seconds = Number(mtimeNs / 1_000_000_000n);
  return { mode: Number(mode & 0o7777n), uid: Number(uid), gid: Number(gid), mtime: seconds };
}

/** As Linux numbers devices. */
function numbersOf({ rdev }: BigIntStats) {
  const major = Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn));
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn));
  return { major, minor };
}

async function readable<T>(path: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new BlockError(errnoOf(error), `${path}: ${reasonOf(error)}`, { cause: error });
  }
}
