import { andThen } from '../../block/answer.ts';
import type { RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { damaged } from './damaged.ts';
import type { FileSystem, Node } from './file-system.ts';
import { compareNames } from './names.ts';

/** A file system at a place in the tree: `/`, `/boot`. */
export interface Mount {
  readonly path: string;
  readonly fileSystem: FileSystem;
}

/** A file where it was found. */
export interface Place {
  /** From `/` on, without links, `.` and `..`. */
  readonly path: string;
  readonly node: Node;
  readonly mount: Mount;
}

export interface WalkOptions extends RequestOptions {
  /** Told of what cannot be read, and the walk goes on; absent: it fails. */
  readonly failed?: ((path: string, error: unknown) => void) | undefined;
}

/** As the kernel has it. */
const MOST_LINKS = 40;
/** Directories in each other: a path of Linux has no more. */
const DEEPEST = 2048;
/** Steps of one search; more are a trap. */
const MOST_STEPS = 8192;

/** File systems mounted in each other, as one tree. Nothing leads out of it. */
export class Tree {
  readonly mounts: readonly Mount[];
  readonly #root: Place;

  /** @param mounts one of them at `/`. */
  constructor(mounts: readonly Mount[]) {
    this.mounts = mounts;
    const mount = mounts.find(({ path }) => path === '/');
    if (!mount) throw new BlockError('ENOENT', 'nothing is mounted at /');
    this.#root = { path: '/', node: mount.fileSystem.root, mount };
  }

  /**
   * The file of a path from `/` on. `..` of the root is the root, links are followed inside of the
   * tree only.
   * @param follow whether the last name may be a link that is followed; so it is unless told.
   * @throws BlockError ENOENT there is none; EINVAL what it goes through is no directory, or links
   * without an end.
   */
  async find(
    path: string,
    { follow = true, signal }: { readonly follow?: boolean } & RequestOptions = {},
  ): Promise<Place> {
    const steps = stepsOf(path);
    const trail: Place[] = [this.#root];
    let links = 0;
    for (let taken = 0; steps.length > 0; taken++) {
      if (taken > MOST_STEPS) throw new BlockError('EINVAL', `${path}: the path has no end`);
      const name = steps.pop()!;
      if (name === '..' || name === '.') {
        if (name === '..' && trail.length > 1) trail.pop();
        continue;
      }
      const place = await this.#child(trail.at(-1)!, name, path, { signal });
      if (place.node.stat.type !== 'symlink' || (steps.length === 0 && !follow)) {
        trail.push(place);
        continue;
      }
      links += 1;
      if (links > MOST_LINKS) {
        throw new BlockError('EINVAL', `${path}: too many levels of symbolic links`);
      }
      const target = await place.node.readlink({ signal });
      if (target.startsWith('/')) trail.length = 1;
      steps.push(...stepsOf(target));
    }
    return trail.at(-1)!;
  }

  /** As `find`; undefined where there is nothing. */
  async existing(...path: Parameters<Tree['find']>): Promise<Place | undefined> {
    try {
      return await this.find(...path);
    } catch (error) {
      if (error instanceof BlockError && error.errno === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** What is in a directory, in the order of bytes. */
  async children(directory: Place, options?: RequestOptions): Promise<readonly Child[]> {
    const entries = await directory.node.list(options);
    const sorted = [...entries].sort((a, b) => compareNames(a.name, b.name));
    return sorted.map(entry => {
      const path = joined(directory.path, entry.name);
      const place = (asked?: RequestOptions): Place | PromiseLike<Place> =>
        this.#mounted(path) ??
        andThen(entry.node(asked), node => ({ path, node, mount: directory.mount }));
      return { name: entry.name, path, place };
    });
  }

  /**
   * A place and all below it, each directory before what is in it, in the order of bytes.
   * @throws BlockError EIO a directory that is in two places, among others.
   */
  walk(top: Place, options: WalkOptions = {}): AsyncIterableIterator<Place, undefined> {
    return new Walk(this, top, options);
  }

  async #child(
    parent: Place,
    name: string,
    whole: string,
    options: RequestOptions,
  ): Promise<Place> {
    const { node, mount } = parent;
    if (node.stat.type !== 'directory') {
      throw new BlockError('EINVAL', `${whole}: ${parent.path} is no directory`);
    }
    const path = joined(parent.path, name);
    const mounted = this.#mounted(path);
    if (mounted) return mounted;
    const entry = node.lookup
      ? await node.lookup(name, options)
      : (await node.list(options)).find(candidate => candidate.name === name);
    if (!entry) throw new BlockError('ENOENT', `${whole}: no such file or directory`);
    return { path, node: await entry.node(options), mount };
  }

  #mounted(path: string): Place | undefined {
    const mount = this.mounts.find(candidate => candidate.path === path);
    return mount && { path, node: mount.fileSystem.root, mount };
  }
}

/** The places of a walk, each made when it is asked for. */
class Walk implements AsyncIterableIterator<Place, undefined> {
  readonly #tree: Tree;
  readonly #options: WalkOptions;
  readonly #seen = new Set<string>();
  /** What is left of the directories in which the last place lies, in reverse. */
  readonly #left: Child[][] = [];
  /** It was given, and what is in it comes next. */
  #entered: Place | undefined;

  constructor(tree: Tree, top: Place, options: WalkOptions) {
    this.#tree = tree;
    this.#options = options;
    this.#left.push([{ name: '', path: top.path, place: () => top }]);
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next(): Promise<IteratorResult<Place, undefined>> {
    const directory = this.#entered;
    this.#entered = undefined;
    if (directory) await this.#attempt(directory.path, () => this.#enter(directory));
    for (let child = this.#nextChild(); child; child = this.#nextChild()) {
      const { path, place } = child;
      const found = await this.#attempt(path, () => place(this.#options));
      if (!found) continue;
      if (found.node.stat.type === 'directory') this.#entered = found;
      return { done: false, value: found };
    }
    return { done: true, value: undefined };
  }

  #nextChild(): Child | undefined {
    while (this.#left.length > 0) {
      const child = this.#left.at(-1)!.pop();
      if (child) return child;
      this.#left.pop();
    }
    return undefined;
  }

  async #enter(place: Place): Promise<void> {
    const id = `${place.mount.path} ${place.node.id}`;
    if (this.#seen.has(id)) throw damaged(place.path, 'the directory is in two places');
    this.#seen.add(id);
    if (this.#left.length > DEEPEST) throw damaged(place.path, 'the directories are too deep');
    const { signal } = this.#options;
    this.#left.push([...(await this.#tree.children(place, { signal }))].reverse());
  }

  async #attempt<T>(path: string, act: () => T | PromiseLike<T>): Promise<T | undefined> {
    const { failed, signal } = this.#options;
    try {
      return await act();
    } catch (error) {
      if (!failed || signal?.aborted) throw error;
      failed(path, error);
      return undefined;
    }
  }
}

/** A name in a directory, and how to get what it stands for. */
export interface Child {
  readonly name: string;
  readonly path: string;
  place(options?: RequestOptions): Place | PromiseLike<Place>;
}

/** The names of a path, the last first. */
function stepsOf(path: string): string[] {
  return path
    .split('/')
    .filter(name => name !== '')
    .reverse();
}

/** A name that holds a slash could not be told from a path. */
function joined(directory: string, name: string): string {
  const safe = name.replaceAll('/', '\u2215');
  return directory === '/' ? `/${safe}` : `${directory}/${safe}`;
}
