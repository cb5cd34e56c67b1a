import type { BlockDevice } from '../../block/device.ts';
import { MAX_SIZE } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { isServable, openFile, statOf } from '../../stores/file/open.ts';

export default definePlugin({
  name: 'split',
  description: 'several files joined into one disk',
  parameters: {
    file: { type: 'path', required: true, bare: true, repeat: true, help: 'File or files' },
  },
  create({ file: paths }) {
    for (const path of paths) {
      if (!isServable(statOf('file', path))) {
        throw new UsageError(`file: '${path}': expected a regular file or a block device`);
      }
    }
    return sourceOf(({ readOnly }) => openJoined(paths, readOnly));
  },
});

/** The files in a row; all that were opened are closed again when one cannot be. */
async function openJoined(paths: readonly string[], readOnly: boolean): Promise<BlockDevice> {
  const devices: BlockDevice[] = [];
  try {
    for (const path of paths) {
      const file = openFile(path, readOnly);
      devices.push(fileDevice(file));
    }
    const joined = joinDevices(devices);
    if (joined.size > MAX_SIZE) {
      throw new BlockError('EINVAL', 'the files together are larger than 2^63-1 bytes');
    }
    return joined;
  } catch (error) {
    for (const device of devices) await device.close?.();
    throw error;
  }
}
