import { UsageError } from '../../../block/errors.ts';
import type { FilesCommand } from '../commands.ts';
import { warn } from '../failures.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from '../sources.ts';
import { Importer } from './importer.ts';
import { changing } from './session.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Copies files and folders into a directory of disks:

    virt-copy-in [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] FILE|FOLDER ... DIRECTORY

`,
  run(line) {
    const directory = line.words.at(-1);
    const local = line.words.slice(0, -1);
    if (directory === undefined || local.length === 0) {
      throw new UsageError('expected files or folders, and a directory from / on');
    }
    return changing(line, sourcesOf(line, 'add'), editor => {
      const leftOut = (path: string, type: string) => warn(line, `${path}: a ${type} is left out`);
      return new Importer(editor, leftOut).copy(local, directory);
    });
  },
};

export default command;
