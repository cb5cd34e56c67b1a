import { UsageError } from '../../../block/errors.ts';
import type { FilesCommand } from '../commands.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from '../sources.ts';
import { changing } from './session.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Takes files and directories, with all that is in them, from disks:

    nbdfiles rm [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] PATH ...

`,
  run(line) {
    if (line.words.length === 0) throw new UsageError('what? expected paths from / on');
    return changing(line, sourcesOf(line, 'add'), async editor => {
      for (const path of line.words) await editor.remove(path);
    });
  },
};

export default command;
