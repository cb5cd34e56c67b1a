import { RangeLock } from '../../block/range-lock.ts';
import { sliceDevice } from '../../block/slice.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { findPartition } from '../../formats/partition-table/find.ts';

export default defineFilter({
  name: 'partition',
  description: 'one partition of a disk with an MBR or GPT partition table',
  parameters: {
    partition: { type: 'integer', required: true, minimum: 1, help: 'Its number, from 1' },
    'partition-sectorsize': {
      type: 'string',
      choices: ['512', '4k', '4096'],
      default: '512',
      help: 'Bytes of a sector',
    },
  },
  create({ partition, 'partition-sectorsize': bytes }, below) {
    const sector = bytes === '512' ? 512 : 4096;
    // For all connections, whose writes may share a block of the disk below.
    const locks = new RangeLock();
    return wrapSource(below, async (disk, { signal }) => {
      const { kind, start, size } = await findPartition(disk, partition, { sector, signal });
      const part = sliceDevice(disk, start, size, { locks });
      if (part.description === undefined) return part;
      const value = `partition ${partition} of ${kind} disk: ${part.description}`;
      return Object.defineProperty(part, 'description', { value });
    });
  },
});
