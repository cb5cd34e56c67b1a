import { writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { FileType, Stat } from '../../../formats/fs/file-system.ts';
import { modeOf } from '../../../formats/fs/posix-mode.ts';
import type { Place, Tree } from '../../../formats/fs/tree.ts';
import type { Command } from './debugfs.ts';
import { type Expected, verify } from './expected.ts';

/** What is to be said of a file; what is left out stays, or is as of a new file of root. */
export interface Wishes {
  /** Permissions: 12 bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
}

/** The content of a file: bytes, or a file of this machine by its absolute name as `nameOf` has it. */
export type Content = Buffer | { readonly path: string };

export interface NewFile extends Wishes {
  readonly content: Content;
}

export interface DeviceNumbers {
  readonly major: number;
  readonly minor: number;
}

/** Attributes that are something else by another name. */
const NO_ATTRIBUTES: ReadonlySet<string> = new Set(['system.data']);

/** Commands for one file system, and how it is to be when they were obeyed. */
export class Batch {
  readonly commands: Command[] = [];
  readonly #expected: Expected[] = [];
  readonly #folder: string;
  readonly #top: Place;
  /** The directory of the next command, below the top. */
  #inner: string[] = [];
  #values = 0;

  /** @param folder for files that debugfs reads. @param top a directory. */
  constructor(folder: string, top: Place) {
    this.#folder = folder;
    this.#top = top;
    this.commands.push(['cd', inodeOf(top)]);
  }

  /** @throws BlockError EIO something is otherwise. */
  verify(tree: Tree): Promise<void> {
    return verify(tree, this.#expected);
  }

  /** A new file. */
  file(name: string, { content, ...wishes }: NewFile): void {
    const path = Buffer.isBuffer(content) ? this.#value(content) : content.path;
    this.commands.push(['write', path, name]);
    this.#say(name, 'file', { mode: 0o644, ...wishes }, { content });
  }

  /** A new file in the place of one, with what is said of that unless it is to be otherwise. */
  replace(
    name: string,
    { node: { stat } }: Place,
    file: NewFile,
    attributes: ReadonlyMap<string, Buffer>,
  ): void {
    this.remove(name, false);
    this.file(name, { mode: stat.mode, uid: stat.uid, gid: stat.gid, ...file });
    for (const [key, value] of attributes) {
      if (NO_ATTRIBUTES.has(key)) continue;
      this.commands.push(['ea_set', '-f', this.#value(value), `./${name}`, key]);
      this.#expected.push({ path: this.#pathOf(name), attribute: { key, value } });
    }
  }

  /** A new directory. */
  directory(name: string, wishes: Wishes): void {
    this.commands.push(['mkdir', name]);
    this.#say(name, 'directory', { mode: 0o755, ...wishes });
  }

  /** What follows is in a directory of this one. */
  enter(name: string): void {
    this.commands.push(['cd', `./${name}`]);
    this.#inner.push(name);
  }

  leave(): void {
    this.commands.push(['cd', '..']);
    this.#inner.pop();
  }

  symlink(name: string, target: string, wishes: Wishes = {}): void {
    this.commands.push(['symlink', name, target]);
    this.#say(name, 'symlink', { mode: 0o777, ...wishes }, { target });
  }

  /** A device file or a pipe. */
  special(
    name: string,
    type: 'character' | 'block' | 'fifo',
    wishes: Wishes,
    device?: DeviceNumbers,
  ): void {
    const { major = 0, minor = 0 } = device ?? {};
    const numbers = type === 'fifo' ? [] : [String(major), String(minor)];
    const letter = { character: 'c', block: 'b', fifo: 'p' }[type];
    this.commands.push(['mknod', name, letter, ...numbers]);
    this.#say(name, type, { mode: 0o644, ...wishes });
  }

  /** Takes away a name, and what has no other name; a directory must be empty. */
  remove(name: string, isDirectory: boolean): void {
    this.commands.push([isDirectory ? 'rmdir' : 'rm', `./${name}`]);
    this.#forget(this.#pathOf(name));
    this.#expected.push({ path: this.#pathOf(name), absent: true });
  }

  /**
   * Takes away files and directories, which are empty by then: each parent comes before what is in it.
   */
  removeAll(all: readonly { readonly place: Place; readonly parent: Place }[]): void {
    for (const { place, parent } of [...all].reverse()) {
      const command = place.node.stat.type === 'directory' ? 'rmdir' : 'rm';
      this.commands.push(['cd', inodeOf(parent)], [command, `./${posix.basename(place.path)}`]);
      this.#expected.push({ path: place.path, absent: true });
    }
    this.commands.push(['cd', inodeOf(this.#top)]);
  }

  /** Gives a file another name, in this directory, and takes away the one that it has in another. */
  move(from: Place, parent: Place, name: string): void {
    this.commands.push(['link', inodeOf(from), `./${name}`]);
    this.commands.push(['cd', inodeOf(parent)], ['unlink', `./${posix.basename(from.path)}`]);
    this.commands.push(['cd', inodeOf(this.#top)]);
    const { type, mode, uid, gid } = from.node.stat;
    this.#expected.push({ path: from.path, absent: true });
    this.#expected.push({ path: this.#pathOf(name), type, mode, uid, gid });
  }

  /** Changes what is said of a file that is there. */
  set(name: string, { type }: Stat, wishes: Wishes): void {
    this.#say(name, type, wishes);
  }

  #say(name: string, type: FileType, wishes: Wishes, more: Partial<Expected> = {}): void {
    const { mode, uid, gid, mtime } = wishes;
    const field = (key: string, value: string) =>
      this.commands.push(['set_inode_field', `./${name}`, key, value]);
    if (mode !== undefined) field('mode', `0${modeOf(type, mode).toString(8)}`);
    if (uid !== undefined) field('uid', String(uid));
    if (gid !== undefined) field('gid', String(gid));
    if (mtime !== undefined) field('mtime', `@${Math.max(0, Math.floor(mtime))}`);
    const path = this.#pathOf(name);
    this.#forget(path);
    this.#expected.push({ path, type, mode, uid, gid, ...more });
  }

  #forget(path: string): void {
    const at = this.#expected.findIndex(expected => expected.path === path);
    if (at >= 0) this.#expected.splice(at, 1);
  }

  #pathOf(name: string): string {
    return posix.join(this.#top.path, ...this.#inner, name);
  }

  /** A file with such bytes. */
  #value(bytes: Buffer): string {
    const path = join(this.#folder, `value-${process.hrtime.bigint()}-${this.#values++}`);
    writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' });
    return path;
  }
}

/** A file by its number, as debugfs has it. */
const inodeOf = ({ node }: Place) => `<${node.id}>`;
