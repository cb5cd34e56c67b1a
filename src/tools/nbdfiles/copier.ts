import { constants } from 'node:fs';
import {
  chmod,
  type FileHandle,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import { isZero } from '../../block/data.ts';
import { BlockError, errnoOf, reasonOf } from '../../block/errors.ts';
import type { Node, Stat } from '../../formats/fs/file-system.ts';
import { bytesOf } from '../../formats/fs/names.ts';
import type { Place, Tree } from '../../formats/fs/tree.ts';
import { contentOf } from './content.ts';
import { type Failures, type Speaker, warn } from './failures.ts';

const SLASH = Buffer.from('/');
const NEW_FILE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
/** Parts of files that are zero become holes. */
const HOLE = 1 << 16;

/** Copies places out of a tree; what it makes is new, and nothing of it goes through a link. */
export class Copier {
  readonly #line: Speaker;
  readonly #failures: Failures;
  readonly #tree: Tree;
  readonly #linked = new Map<string, Buffer>();

  constructor(line: Speaker, tree: Tree, failures: Failures) {
    this.#line = line;
    this.#failures = failures;
    this.#tree = tree;
  }

  /** @param folder exists, and is the user's or was made here. */
  async copy(top: Place, folder: Buffer): Promise<void> {
    const cut = top.path.lastIndexOf('/') + 1;
    const directories: { path: Buffer; stat: Stat }[] = [];
    const broken = new Set<string>();
    for await (const place of this.#tree.walk(top, { failed: this.#failures.report })) {
      const inner = place.path.slice(cut);
      const parent = inner.slice(0, Math.max(0, inner.lastIndexOf('/')));
      if (broken.has(parent)) {
        broken.add(inner);
        continue;
      }
      try {
        if (inner.split('/').some(isUnsafe))
          throw new BlockError('EINVAL', 'its name is unsafe here');
        const path = inner === '' ? folder : Buffer.concat([folder, SLASH, bytesOf(inner)]);
        if (await this.#one(place, path, inner === ''))
          directories.push({ path, stat: place.node.stat });
      } catch (error) {
        broken.add(inner);
        this.#failures.report(place.path, named(error));
      }
    }
    // Last of all, as a directory may be read-only and each new file changes its time.
    for (const { path, stat } of directories.reverse()) await settle(path, stat);
  }

  /** @returns whether it is a directory. */
  async #one(
    { node, path: from, mount }: Place,
    path: Buffer,
    isFolder: boolean,
  ): Promise<boolean> {
    const { stat } = node;
    if (stat.type === 'directory') {
      if (!isFolder) await makeDirectory(path);
      return !isFolder;
    }
    if (stat.type === 'symlink') {
      await replacing(path, async () => symlink(bytesOf(await node.readlink()), path));
      await own(path, stat);
      await lutimes(path, secondsOf(stat.atime), secondsOf(stat.mtime));
    } else if (stat.type === 'file') {
      const key = stat.links > 1 ? `${mount.path} ${node.id}` : '';
      const first = this.#linked.get(key);
      if (first) {
        await replacing(path, () => link(first, path));
      } else {
        await this.#file(node, path);
        if (key !== '') this.#linked.set(key, path);
      }
    } else warn(this.#line, `${from}: a ${stat.type} file is left out`);
    return false;
  }

  async #file(node: Node, path: Buffer): Promise<void> {
    const file = await replacing(path, () => open(path, NEW_FILE, 0o600));
    try {
      await write(file, node);
    } finally {
      await file.close();
    }
    await settle(path, node.stat);
  }
}

/** Names that lead elsewhere; a slash in a name is already another character. */
const isUnsafe = (name: string) => name === '.' || name === '..' || name.includes('\0');

function named(error: unknown): unknown {
  if (error instanceof BlockError) return error;
  return new BlockError(errnoOf(error), reasonOf(error), { cause: error });
}

/** What stands there already is taken away, without following it. */
async function replacing<T>(path: Buffer, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await unlink(path);
    return make();
  }
}

async function makeDirectory(path: Buffer): Promise<void> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!(await lstat(path)).isDirectory()) {
      throw new BlockError('EINVAL', 'something that is no directory is in its place', {
        cause: error,
      });
    }
  }
}

async function write(file: FileHandle, node: Node): Promise<void> {
  let at = 0;
  for await (const bytes of contentOf(node)) {
    for (let start = 0; start < bytes.length; start += HOLE) {
      const part = bytes.subarray(start, start + HOLE);
      if (!isZero(part)) await file.write(part, 0, part.length, at + start);
    }
    at += bytes.length;
  }
  await file.truncate(at);
}

async function settle(path: Buffer, stat: Stat): Promise<void> {
  await own(path, stat);
  await chmod(path, stat.mode);
  await utimes(path, secondsOf(stat.atime), secondsOf(stat.mtime));
}

/** As tar has it: only root gives files away. */
async function own(path: Buffer, { uid, gid }: Stat): Promise<void> {
  if (process.getuid?.() === 0) await lchown(path, uid, gid);
}

/** As text, since Node takes numbers below zero for the present. */
const secondsOf = (time: bigint) => String(Number(time) / 1e9);
