import { UsageError } from '../../../block/errors.ts';
import type { FilesCommand } from '../commands.ts';
import { warn } from '../failures.ts';
import { withInput } from '../making/input.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from '../sources.ts';
import { Importer } from './importer.ts';
import { changing } from './session.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Unpacks a tar archive (- is standard input) into a directory of disks:

    virt-tar-in [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] ARCHIVE DIRECTORY

`,
  run(line) {
    const [archive, directory, ...others] = line.words;
    if (archive === undefined || directory === undefined || others.length > 0) {
      throw new UsageError('expected an archive, or -, and a directory from / on');
    }
    const leftOut = (path: string, type: string) => warn(line, `${path}: a ${type} is left out`);
    return withInput(archive, folder =>
      changing(line, sourcesOf(line, 'add'), editor => {
        return new Importer(editor, leftOut).copyAll(folder, directory);
      }),
    );
  },
};

export default command;
