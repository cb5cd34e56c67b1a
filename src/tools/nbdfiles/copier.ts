import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
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
    for (const { path, stat } of directories.reverse()) settle(path, stat);
  }

  /** @returns whether it is a directory. */
  async #one(
    { node, path: from, mount }: Place,
    path: Buffer,
    isFolder: boolean,
  ): Promise<boolean> {
    const { stat } = node;
    if (stat.type === 'directory') {
      if (!isFolder) makeDirectory(path);
      return !isFolder;
    }
    if (stat.type === 'symlink') {
      const target = bytesOf(await node.readlink());
      replacing(path, () => symlinkSync(target, path));
      own(stat, (uid, gid) => lchownSync(path, uid, gid));
      lutimesSync(path, secondsOf(stat.atime), secondsOf(stat.mtime));
    } else if (stat.type === 'file') {
      const key = stat.links > 1 ? `${mount.path} ${node.id}` : '';
      const first = this.#linked.get(key);
      if (first) {
        replacing(path, () => linkSync(first, path));
      } else {
        await writeFile(node, path);
        if (key !== '') this.#linked.set(key, path);
      }
    } else warn(this.#line, `${from}: a ${stat.type} file is left out`);
    return false;
  }
}

/** Names that lead elsewhere; a slash in a name is already another character. */
const isUnsafe = (name: string) => name === '.' || name === '..' || name.includes('\0');

function named(error: unknown): unknown {
  if (error instanceof BlockError) return error;
  return new BlockError(errnoOf(error), reasonOf(error), { cause: error });
}

/** What stands there already is taken away, without following it. */
function replacing<T>(path: Buffer, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    unlinkSync(path);
    return make();
  }
}

function makeDirectory(path: Buffer): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!lstatSync(path).isDirectory()) {
      throw new BlockError('EINVAL', 'something that is no directory is in its place', {
        cause: error,
      });
    }
  }
}

/**
 * A new file. The calls of the system are waited for: for small files, which most are, that takes a
 * tenth of the time that it takes to hand them to other threads.
 */
async function writeFile(node: Node, path: Buffer): Promise<void> {
  const { stat } = node;
  const file = replacing(path, () => openSync(path, NEW_FILE, 0o600));
  try {
    await writeContent(file, node);
    own(stat, (uid, gid) => fchownSync(file, uid, gid));
    fchmodSync(file, stat.mode);
    futimesSync(file, secondsOf(stat.atime), secondsOf(stat.mtime));
  } finally {
    closeSync(file);
  }
}

async function writeContent(file: number, node: Node): Promise<void> {
  let end = 0;
  let written = 0;
  for await (const bytes of contentOf(node)) {
    for (let start = 0; start < bytes.length; start += HOLE) {
      const part = bytes.subarray(start, start + HOLE);
      if (isZero(part)) continue;
      writeWhole(file, part, end + start);
      written = end + start + part.length;
    }
    end += bytes.length;
  }
  if (written < end) ftruncateSync(file, end);
}

function writeWhole(file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, at + done);
}

/** What is said of a directory. */
function settle(path: Buffer, stat: Stat): void {
  own(stat, (uid, gid) => lchownSync(path, uid, gid));
  chmodSync(path, stat.mode);
  utimesSync(path, secondsOf(stat.atime), secondsOf(stat.mtime));
}

/** As tar has it: only root gives files away. */
function own({ uid, gid }: Stat, give: (uid: number, gid: number) => void): void {
  if (process.getuid?.() === 0) give(uid, gid);
}

/** As text, since Node takes numbers below zero for the present. */
const secondsOf = (time: bigint) => String(Number(time) / 1e9);
