import type { BlockDevice, ZeroOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { holds, readsAsZeroes } from '../../block/verify.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'checkwrite',
  description: 'compares what is written with what is there, and changes nothing',
  parameters: {},
  wrap: checking,
  create(_parameters, below, { again }) {
    return passSource(below, {
      open: async request => {
        const device = await below.open({ ...request, readOnly: true });
        return again(checking(device), device);
      },
    });
  },
});

/** Whatever the disk below can, it can be written. */
function checking(below: BlockDevice): BlockDevice {
  const expect = async (same: Promise<boolean>, offset: bigint) => {
    if (await same) return;
    throw new BlockError('EIO', 'data written does not match expected', { offset });
  };
  const zeroes = (offset: bigint, length: number, options?: ZeroOptions) =>
    expect(readsAsZeroes(below, offset, length, options), offset);
  return wrapDevice(below, {
    ...PASS,
    multiConn: true,
    fua: 'native',
    zeroing: undefined,
    fastZero: 'native',
    write: (offset, data, options) => expect(holds(below, offset, data, options), offset),
    flush: () => {},
    trim: zeroes,
    zero: zeroes,
    resize: undefined,
  });
}
