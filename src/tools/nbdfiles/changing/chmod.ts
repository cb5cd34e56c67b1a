import { UsageError } from '../../../block/errors.ts';
import type { FilesCommand } from '../commands.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from '../sources.ts';
import { parseMode } from './operands.ts';
import { changing } from './session.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Changes permissions of files on disks:

    nbdfiles chmod [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] MODE PATH ...

`,
  run(line) {
    const [permissions, ...paths] = line.words;
    if (permissions === undefined || paths.length === 0) {
      throw new UsageError('expected permissions such as 0644, and paths from / on');
    }
    const mode = parseMode(permissions);
    return changing(line, sourcesOf(line, 'add'), async editor => {
      for (const path of paths) await editor.set(path, { mode });
    });
  },
};

export default command;
