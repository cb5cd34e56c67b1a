import { UsageError } from '../../block/errors.ts';
import { checkExtLabel, EXT_TYPES, makeExt, wantedSize } from '../../content/ext/make.ts';
import { definePlugin } from '../../declare/declare.ts';
import { temporaryImage } from '../../stores/file/image.ts';
import { statOf } from '../../stores/file/open.ts';
import { START, writeTables } from './disk.ts';

export default definePlugin({
  name: 'linuxdisk',
  description: 'a directory as a disk with an ext2, ext3 or ext4 partition',
  parameters: {
    dir: { type: 'path', required: true, bare: true, help: 'Directory for the root' },
    type: { type: 'string', choices: EXT_TYPES, default: 'ext2', help: 'Kind of file system' },
    label: { type: 'string', default: '', help: 'Label of the file system' },
    size: { type: 'string', help: 'Size of the file system, or +SIZE of its free space' },
  },
  async create({ dir, type, label, size }, { warn }) {
    if (!statOf('dir', dir).isDirectory()) {
      throw new UsageError(`dir: '${dir}': expected a directory`);
    }
    checkExtLabel(label);
    const wanted = wantedSize(size);
    return temporaryImage(async fd => {
      const made = await makeExt(fd, { dir, type, label, start: START }, wanted);
      for (const words of made.warnings) warn(words);
      writeTables(fd, made.size, dir);
    });
  },
});
