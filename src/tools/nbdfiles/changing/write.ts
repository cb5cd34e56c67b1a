import { buffer } from 'node:stream/consumers';
import { UsageError } from '../../../block/errors.ts';
import type { FilesCommand } from '../commands.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS, sourcesOf } from '../sources.ts';
import { changing } from './session.ts';

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Writes standard input to a file on disks:

    nbdfiles write [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] PATH

`,
  async run(line) {
    const [path, ...others] = line.words;
    if (path === undefined || others.length > 0) {
      throw new UsageError('which file? expected a path from / on');
    }
    const content = await buffer(process.stdin);
    return changing(line, sourcesOf(line, 'add'), editor => editor.write(path, { content }));
  },
};

export default command;
