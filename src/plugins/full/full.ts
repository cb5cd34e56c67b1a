import { zeroes } from '../../block/data.ts';
import { BlockError } from '../../block/errors.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';

export default definePlugin({
  name: 'full',
  description: 'a disk that reads as zeroes and has no space for any write',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
  },
  create({ size }) {
    return sourceOf(() => ({
      size,
      multiConn: true,
      read: (_offset, length) => zeroes(length),
      write: refuse,
      trim: refuse,
      zero: refuse,
      cache: () => {},
      extents: (_offset, length) => [{ length, hole: true, zero: true }],
    }));
  },
});

function refuse(offset: bigint): never {
  throw new BlockError('ENOSPC', 'no space left on the disk', { offset });
}
