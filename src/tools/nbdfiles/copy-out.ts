import { lstat } from 'node:fs/promises';
import { UsageError } from '../../block/errors.ts';
import { bytesOf } from '../../formats/fs/names.ts';
import type { FilesCommand } from './commands.ts';
import { Copier } from './copier.ts';
import { Failures } from './failures.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from './sources.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Copies files and directories of disks into a folder:

    virt-copy-out [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] PATH [PATH ...] FOLDER

`,
  async run(line) {
    const paths = line.words.slice(0, -1);
    const folder = line.words.at(-1);
    if (folder === undefined || paths.length === 0) {
      throw new UsageError('expected paths from / on, and a folder to copy them into');
    }
    const stat = await lstat(folder).catch(() => undefined);
    if (!stat?.isDirectory() && !stat?.isSymbolicLink())
      throw new UsageError(`${folder}: is no folder`);
    const guest = await openGuest(line, sourcesOf(line, 'add'));
    const tree = await mountedTree(line, guest);
    const status = statusWith(line, tree.mounts, 0);
    const failures = new Failures(line);
    const copier = new Copier(line, tree, failures);
    for (const path of paths) {
      try {
        await copier.copy(await tree.find(path, { follow: false }), bytesOf(folder));
      } catch (error) {
        failures.report(path, error);
      }
    }
    return failures.status(status);
  },
};

export default command;
