import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { DISK_PARAMETERS, diskMaker } from '../../content/new-disk.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { temporaryFolder, withPrivateFolder } from '../../posix/temporary.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { openFile } from '../../stores/file/open.ts';

export default definePlugin({
  name: 'tmpdisk',
  description: 'a fresh disk with an empty file system for every client',
  parameters: DISK_PARAMETERS,
  extra: true,
  create(parameters, { extra, debug }) {
    const makeDisk = diskMaker(parameters, extra);
    return sourceOf(({ readOnly }) =>
      withPrivateFolder(join(temporaryFolder(), 'nbdpipe-tmpdisk-'), async folder => {
        const disk = join(folder, 'disk');
        const words = await makeDisk(disk);
        if (words !== '') debug(words);
        if (!existsSync(disk)) throw new BlockError('EIO', 'the command made no file "$disk"');
        const file = openFile(disk, readOnly);
        return ephemeral(fileDevice(file));
      }),
    );
  },
});

/** Nothing outlives the connection, so nothing needs to reach the disk; nobody else sees it. */
function ephemeral(disk: BlockDevice): BlockDevice {
  return wrapDevice(disk, {
    ...PASS,
    multiConn: false,
    flush: () => {},
    write: disk.write && ((offset, data) => disk.write!(offset, data)),
    trim: disk.trim && ((offset, length) => disk.trim!(offset, length)),
    zero:
      disk.zero &&
      ((offset, length, options) => disk.zero!(offset, length, { ...options, fua: false })),
  });
}
