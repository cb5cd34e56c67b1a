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
      const place = async (asked?: RequestOptions): Promise<Place> =>
        this.#mounted(path) ?? { path, node: await entry.node(asked), mount: directory.mount };
      return { name: entry.name, path, place };
    });
  }

  /**
   * A place and all below it, each directory before what is in it, in the order of bytes.
   * @throws BlockError EIO a directory that is in two places, among others.
   */
  async *walk(top: Place, { failed, signal }: WalkOptions = {}): AsyncGenerator<Place> {
    const seen = new Set<string>();
    const left: Child[][] = [];
    const enter = async (place: Place) => {
      const id = `${place.mount.path} ${place.node.id}`;
      if (seen.has(id)) throw damaged(place.path, 'the directory is in two places');
      seen.add(id);
      if (left.length > DEEPEST) throw damaged(place.path, 'the directories are too deep');
      left.push([...(await this.children(place, { signal }))].reverse());
    };
    const attempt = async <T>(path: string, act: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await act();
      } catch (error) {
        if (!failed || signal?.aborted) throw error;
        failed(path, error);
        return undefined;
      }
    };
    yield top;
    if (top.node.stat.type === 'directory') await attempt(top.path, () => enter(top));
    for (let last = left.at(-1); last; last = left.at(-1)) {
      const child = last.pop();
      if (!child) {
        left.pop();
        continue;
      }
      const place = await attempt(child.path, () => child.place({ signal }));
      if (!place) continue;
      yield place;
      if (place.node.stat.type === 'directory') await attempt(place.path, () => enter(place));
    }
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

/** A name in a directory, and how to get what it stands for. */
export interface Child {
  readonly name: string;
  readonly path: string;
  place(options?: RequestOptions): Promise<Place>;
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
