import { UsageError } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { ext } from '../../formats/fs/ext/ext.ts';
import { Tree } from '../../formats/fs/tree.ts';

/** The value by which clients choose. */
const BY_EXPORT = 'exportname';

export default defineFilter({
  name: 'ext2',
  description: 'a file inside of an ext2, ext3 or ext4 file system, for reading',
  parameters: {
    ext2file: {
      type: 'string',
      required: true,
      help: 'Its path, from / on; exportname: clients name it',
    },
  },
  create({ ext2file }, below) {
    const byExport = ext2file === BY_EXPORT;
    if (!byExport && !ext2file.startsWith('/')) {
      throw new UsageError(`ext2file: ${ext2file}: expected a path from / on, or ${BY_EXPORT}`);
    }
    const disk = passSource(below, {
      open: request => below.open({ ...request, exportName: byExport ? '' : request.exportName }),
    });
    return expandedSource(disk, async (device, { exportName, signal }) => {
      const fileSystem = await ext.open(device, { signal });
      const tree = new Tree([{ path: '/', fileSystem }]);
      const { node } = await tree.find(byExport ? exportName : ext2file, { signal });
      return { ...(await node.open({ signal })), close: () => device.close?.() };
    });
  },
});
