import { posix } from 'node:path';
import { closeAll } from '../../../block/close-all.ts';
import { BlockError } from '../../../block/errors.ts';
import type { Node } from '../../../formats/fs/file-system.ts';
import { type Mount, type Place, Tree } from '../../../formats/fs/tree.ts';
import type { Mountable } from '../../../inspect/volumes.ts';
import { Batch, type NewFile, type Wishes } from './batch.ts';
import { ExtVolume } from './ext-volume.ts';

/** A place where something is to be: a directory that is there, and a name in it. */
export interface Target {
  readonly parent: Place;
  readonly name: string;
  /** What is there; undefined: nothing. */
  readonly found: Place | undefined;
}

/**
 * Changes files in the tree of a guest. Each change is there for the next one, and on the disks when
 * all of them are committed.
 */
export class Editor {
  tree: Tree;
  readonly #volumes = new Map<Mountable, ExtVolume>();
  readonly #mounted: readonly { readonly path: string; readonly mountable: Mountable }[];

  /** @param tree with mounts of these. */
  constructor(tree: Tree, mountables: readonly Mountable[]) {
    this.tree = tree;
    this.#mounted = tree.mounts.map(({ path, fileSystem }) => ({
      path,
      mountable: mountables.find(each => each.fileSystem === fileSystem)!,
    }));
  }

  /**
   * Where a path leads, through links; the last name may be one of nothing.
   * @param follow whether the last name may be a link that is followed.
   * @throws BlockError ENOENT a directory of it is not there; EINVAL it is the root.
   */
  async target(path: string, follow = true): Promise<Target> {
    const found = await this.existing(path, follow);
    const at = found?.path ?? path;
    const name = posix.basename(at);
    if (name === '' || name === '.' || name === '..') {
      throw new BlockError('EINVAL', `${path}: has no name of its own`);
    }
    const parent = await this.tree.find(posix.dirname(at));
    if (parent.node.stat.type !== 'directory') {
      throw new BlockError('EINVAL', `${path}: ${parent.path} is no directory`);
    }
    return { parent, name, found };
  }

  /** undefined: there is nothing. */
  existing(path: string, follow = true): Promise<Place | undefined> {
    return this.tree.existing(path, { follow });
  }

  /**
   * Makes a file, or puts another one in its place that has its owner, permissions and attributes.
   */
  async write(path: string, file: NewFile): Promise<void> {
    const { parent, name, found } = await this.target(path);
    if (found && found.node.stat.type !== 'file') {
      throw new BlockError('EINVAL', `${path}: is a ${found.node.stat.type}`);
    }
    await this.change(parent, async batch => {
      if (found) batch.replace(name, found, file, await attributesOf(found.node));
      else batch.file(name, file);
    });
  }

  /**
   * Takes away a file, or a directory with all that is in it.
   * @throws BlockError EBUSY a file system is mounted in it.
   */
  async remove(path: string): Promise<void> {
    const { parent, found } = await this.target(path, false);
    if (!found) throw new BlockError('ENOENT', `${path}: no such file or directory`);
    const all: { place: Place; parent: Place }[] = [];
    const places = new Map([[parent.path, parent]]);
    for await (const place of this.tree.walk(found)) {
      if (place.mount !== parent.mount) {
        throw new BlockError('EBUSY', `${path}: a file system is mounted at ${place.mount.path}`);
      }
      places.set(place.path, place);
      all.push({ place, parent: places.get(posix.dirname(place.path))! });
    }
    await this.change(parent, batch => batch.removeAll(all));
  }

  /** Makes a directory, and those in which it is to be. */
  async mkdir(path: string, wishes: Wishes = {}): Promise<void> {
    if (await this.existing(path)) return;
    await this.mkdir(posix.dirname(posix.normalize(path)), wishes);
    const { parent, name } = await this.target(path);
    await this.change(parent, batch => batch.directory(name, wishes));
  }

  /** Makes a symbolic link in the place of whatever is called so, unless that is a directory. */
  async symlink(target: string, path: string): Promise<void> {
    const { parent, name, found } = await this.target(path, false);
    if (found?.node.stat.type === 'directory') {
      throw new BlockError('EINVAL', `${path}: a directory is in its place`);
    }
    await this.change(parent, batch => {
      if (found) batch.remove(name, false);
      batch.symlink(name, target);
    });
  }

  /** Changes what is said of a file. @throws BlockError ENOENT */
  async set(path: string, wishes: Wishes): Promise<void> {
    const { parent, name, found } = await this.target(path);
    if (!found) throw new BlockError('ENOENT', `${path}: no such file or directory`);
    this.#refuseMount(found);
    await this.change(parent, batch => batch.set(name, found.node.stat, wishes));
  }

  /** Gives a file another name on the same file system, where nothing is called so. */
  async move(path: string, to: string): Promise<void> {
    const from = await this.target(path, false);
    if (!from.found) throw new BlockError('ENOENT', `${path}: no such file or directory`);
    const target = await this.target(to, false);
    const why = target.found
      ? 'something is called so already'
      : target.parent.mount !== from.parent.mount || from.found.mount !== from.parent.mount
        ? 'is on another file system'
        : from.found.node.stat.type === 'directory'
          ? 'directories are not moved here'
          : undefined;
    if (why !== undefined) throw new BlockError('EINVAL', `${to}: ${why}`);
    const { found, parent } = from;
    await this.change(target.parent, batch => batch.move(found, parent, target.name));
  }

  #refuseMount({ path, mount }: Place): void {
    if (path === mount.path) throw new BlockError('EINVAL', `${path}: is the top of a file system`);
  }

  /** Fills a batch for the file system of a directory, does it and looks whether it was done. */
  async change(parent: Place, fill: (batch: Batch) => void | Promise<void>): Promise<void> {
    const volume = await this.#volumeOf(parent.mount);
    const batch = new Batch(volume.folder, parent);
    await fill(batch);
    await volume.change(batch.commands);
    this.#refresh();
    await batch.verify(this.tree);
  }

  /** Writes what was changed to the disks. */
  async commit(): Promise<void> {
    for (const volume of this.#volumes.values()) await volume.commit();
  }

  close(): Promise<void> {
    return closeAll(this.#volumes.values());
  }

  async #volumeOf({ path }: Mount): Promise<ExtVolume> {
    const { mountable } = this.#mounted.find(mount => mount.path === path)!;
    const volume = this.#volumes.get(mountable) ?? (await ExtVolume.open(mountable));
    this.#volumes.set(mountable, volume);
    return volume;
  }

  #refresh(): void {
    this.tree = new Tree(
      this.#mounted.map(({ path, mountable }) => ({
        path,
        fileSystem: this.#volumes.get(mountable)?.fileSystem ?? mountable.fileSystem,
      })),
    );
  }
}

async function attributesOf(node: Node): Promise<ReadonlyMap<string, Buffer>> {
  return (await node.attributes?.()) ?? new Map();
}
