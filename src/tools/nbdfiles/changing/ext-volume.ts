import { join } from 'node:path';
import { contiguous } from '../../../block/data.ts';
import { BlockError } from '../../../block/errors.ts';
import { ext } from '../../../formats/fs/ext/ext.ts';
import { readSuperblock, SUPERBLOCK } from '../../../formats/fs/ext/superblock.ts';
import type { FileSystem } from '../../../formats/fs/file-system.ts';
import type { Mountable } from '../../../inspect/volumes.ts';
import { privateFolder, temporaryFolder } from '../../../posix/temporary.ts';
import { type Command, runDebugfs } from './debugfs.ts';
import { type Staged, stage } from './staged.ts';

/** Of the state in the superblock: it was unmounted; it has errors. */
const CLEAN = 1;
const ERRORS = 2;
const STATE = 58;
/** Features whose data debugfs leaves as it is: files of quota; dirty orphans in a file. */
const QUOTA = 0x100;
const ORPHANS_PRESENT = 0x10000;
const READ_ONLY_FEATURES = 100;

/** An ext2, ext3 or ext4 file system that is changed aside until all went well. */
export class ExtVolume {
  /** With all changes. */
  fileSystem: FileSystem;
  /** For what debugfs reads; private. */
  readonly folder: string;
  readonly #staged: Staged;
  readonly #remove: () => void;
  #scripts = 0;

  private constructor(
    fileSystem: FileSystem,
    staged: Staged,
    folder: { readonly path: string; remove(): void },
  ) {
    this.fileSystem = fileSystem;
    this.folder = folder.path;
    this.#staged = staged;
    this.#remove = folder.remove;
  }

  /** @throws BlockError ENOTSUP it is of another kind; EBUSY it is mounted or was not unmounted. */
  static async open({ name, volume, fileSystem }: Mountable): Promise<ExtVolume> {
    if (!/^ext[234]$/.test(fileSystem.type)) {
      const what = `${fileSystem.type} is not changed here, ext2, ext3 and ext4 are`;
      throw new BlockError('ENOTSUP', `${name}: ${what}`);
    }
    const { offset, length } = SUPERBLOCK;
    const bytes = contiguous(await volume.device.read(BigInt(offset), length));
    refuse(name, Buffer.from(bytes));
    const folder = privateFolder(join(temporaryFolder(), 'nbdfiles-'));
    try {
      return new ExtVolume(fileSystem, await stage(volume.device, folder.path), folder);
    } catch (error) {
      folder.remove();
      throw error;
    }
  }

  /** Has debugfs do something, and looks at the file system anew. @throws BlockError */
  async change(commands: readonly Command[]): Promise<void> {
    const script = join(this.folder, `script-${this.#scripts++}`);
    await runDebugfs(this.#staged.path, commands, script);
    this.fileSystem = await ext.open(this.#staged.device);
  }

  /** Writes all changes to the disk. */
  commit(): Promise<void> {
    return this.#staged.commit();
  }

  async close(): Promise<void> {
    await this.#staged.close();
    this.#remove();
  }
}

function refuse(name: string, superblock: Buffer): void {
  const { needsRecovery } = readSuperblock(superblock);
  const state = superblock.readUInt16LE(STATE);
  const features = superblock.readUInt32LE(READ_ONLY_FEATURES);
  const why = needsRecovery
    ? 'its journal has changes that are not in their place, or it is mounted: e2fsck first'
    : (state & CLEAN) === 0
      ? 'it was not unmounted, or is mounted: e2fsck first'
      : (state & ERRORS) !== 0 || (features & ORPHANS_PRESENT) !== 0
        ? 'it has errors or files without a name: e2fsck first'
        : undefined;
  if (why !== undefined) throw new BlockError('EBUSY', `${name}: ${why}`);
  if ((features & QUOTA) === 0) return;
  throw new BlockError('ENOTSUP', `${name}: it has quotas, which debugfs would leave wrong`);
}
