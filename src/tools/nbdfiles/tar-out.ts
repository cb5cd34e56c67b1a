import { UsageError } from '../../block/errors.ts';
import {
  type TarMember,
  type TarType,
  tarEnd,
  tarHeader,
  tarPadding,
} from '../../formats/archive/tar-write.ts';
import type { FileType } from '../../formats/fs/file-system.ts';
import { bytesOf } from '../../formats/fs/names.ts';
import type { Place, Tree } from '../../formats/fs/tree.ts';
import { print } from '../cli.ts';
import { Buffered, type Write } from './buffered.ts';
import type { FilesCommand, FilesLine } from './commands.ts';
import { Failures, warn } from './failures.ts';
import { fileWriter } from './file-writer.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from './sources.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Puts a directory of disks into a tar archive, or to standard output with -:

    virt-tar-out [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] DIRECTORY ARCHIVE

`,
  async run(line) {
    const [directory, archive, ...others] = line.words;
    if (directory === undefined || archive === undefined || others.length > 0) {
      throw new UsageError('expected a directory from / on and the name of an archive, or -');
    }
    const guest = await openGuest(line, sourcesOf(line, 'add'));
    const tree = await mountedTree(line, guest);
    const status = statusWith(line, tree.mounts, 0);
    const top = await tree.find(directory);
    if (top.node.stat.type !== 'directory') throw new UsageError(`${directory}: is no directory`);
    const write =
      archive === '-' ? { write: print, end: async () => {} } : await fileWriter(archive);
    const failures = new Failures(line);
    await writeTar(line, tree, top, { write: write.write, failed: failures.report });
    await write.end();
    return failures.status(status);
  },
};

export default command;

const TAR_TYPES: Readonly<Partial<Record<FileType, TarType>>> = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  character: 'character',
  block: 'block',
  fifo: 'fifo',
};

interface Ends {
  readonly write: Write;
  failed(path: string, error: unknown): void;
}

/** Members begin with `./`, the directory itself is the first. */
async function writeTar(line: FilesLine, tree: Tree, top: Place, ends: Ends): Promise<void> {
  const archive = new Archive(line, top, ends);
  for await (const place of tree.walk(top, { failed: ends.failed })) await archive.add(place);
  await archive.end();
}

class Archive {
  readonly #line: FilesLine;
  readonly #top: Place;
  readonly #failed: Ends['failed'];
  readonly #output: Buffered;
  /** The first names of files that have several. */
  readonly #linked = new Map<string, Buffer>();

  constructor(line: FilesLine, top: Place, { write, failed }: Ends) {
    this.#line = line;
    this.#top = top;
    this.#failed = failed;
    this.#output = new Buffered(write);
  }

  async add(place: Place): Promise<void> {
    const { node, path, mount } = place;
    const type = TAR_TYPES[node.stat.type];
    if (!type) {
      warn(this.#line, `${path}: a ${node.stat.type} is left out`);
      return;
    }
    const name = this.#nameOf(path, type);
    const key = node.stat.links > 1 && type === 'file' ? `${mount.path} ${node.id}` : '';
    const first = this.#linked.get(key);
    if (key !== '' && !first) this.#linked.set(key, name);
    try {
      const member = await memberOf(place, first ? 'hardlink' : type, name, first);
      const attributes = first ? [] : await attributesOf(place, this.#failed);
      await this.#output.put(tarHeader({ ...member, attributes }));
    } catch (error) {
      this.#failed(path, error);
      return;
    }
    if (type !== 'file' || first) return;
    await this.#output.pour(await node.open());
    await this.#output.put(tarPadding(node.stat.size));
  }

  async end(): Promise<void> {
    await this.#output.put(tarEnd(this.#output.total));
    await this.#output.flush();
  }

  #nameOf(path: string, type: TarType): Buffer {
    const top = this.#top.path;
    const inner = path.slice(top === '/' ? 1 : top.length + 1);
    return bytesOf(`./${inner}${type === 'directory' && path !== top ? '/' : ''}`);
  }
}

async function memberOf(
  { node }: Place,
  type: TarType,
  name: Buffer,
  first: Buffer | undefined,
): Promise<TarMember> {
  const { mode, uid, gid, size, mtime, device } = node.stat;
  const link = type === 'symlink' ? bytesOf(await node.readlink()) : first;
  const seconds = (mtime - (mtime < 0n ? 999_999_999n : 0n)) / 1_000_000_000n;
  const length = type === 'file' ? size : 0n;
  return { name, type, mode, uid, gid, size: length, mtime: seconds, link, device };
}

/** A file whose attributes are damaged is there without them. */
async function attributesOf({ node, path }: Place, failed: Ends['failed']) {
  try {
    const found = [...((await node.attributes?.()) ?? [])];
    return found.map(([name, value]) => [bytesOf(name), value] as const);
  } catch (error) {
    failed(path, error);
    return [];
  }
}
