import { UsageError } from '../../block/errors.ts';
import { print } from '../cli.ts';
import type { FilesCommand } from './commands.ts';
import { contentOf } from './content.ts';
import { Failures } from './failures.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS } from './sources.ts';
import { splitWords } from './words.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Prints files of disks:

    virt-cat [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] FILE ...

`,
  async run(line) {
    const { sources, words } = splitWords(line);
    if (words.length === 0)
      throw new UsageError('which file? expected a path from / on, see --help');
    const guest = await openGuest(line, sources);
    const tree = await mountedTree(line, guest);
    const status = statusWith(line, tree.mounts, 0);
    const failures = new Failures(line);
    for (const path of words) {
      try {
        const { node } = await tree.find(path);
        if (node.stat.type === 'directory') throw new UsageError(`${path}: is a directory`);
        for await (const bytes of contentOf(node)) await print(bytes);
      } catch (error) {
        failures.report(path, error);
      }
    }
    return failures.status(status);
  },
};

export default command;
