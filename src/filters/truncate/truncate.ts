import { paddingDevice } from '../../block/constant.ts';
import { isZero } from '../../block/data.ts';
import { type BlockDevice, MAX_SIZE } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { sliceDevice } from '../../block/slice.ts';
import { defineFilter } from '../../declare/declare.ts';

/** What sizes may be rounded to. */
const MOST = 2 ** 32 - 1;

export default defineFilter({
  name: 'truncate',
  description: 'cuts the disk, makes it longer, or rounds its size',
  parameters: {
    truncate: { type: 'size', help: 'The new size' },
    'round-up': { type: 'size', minimum: 1, maximum: MOST, help: 'Round it up to a multiple' },
    'round-down': { type: 'size', minimum: 1, maximum: MOST, help: 'Round it down to a multiple' },
  },
  check: ({ 'round-up': up, 'round-down': down }) => {
    for (const [key, unit] of Object.entries({ 'round-up': up, 'round-down': down })) {
      const isPower = unit === undefined || (unit & (unit - 1n)) === 0n;
      if (!isPower) throw new UsageError(`the ${key} parameter must be a power of 2`);
    }
  },
  wrap(below, { truncate, 'round-up': up = 1n, 'round-down': down = 1n }) {
    const wanted = truncate ?? below.size;
    const rounded = ((wanted + up - 1n) / up) * up;
    if (rounded > MAX_SIZE) {
      const words = `cannot round size ${wanted} up to next boundary of ${up}`;
      throw new BlockError('EIO', words);
    }
    const size = (rounded / down) * down;
    if (size === below.size) return below;
    if (size < below.size) return sliceDevice(below, 0n, size);
    return joinDevices([below, tail(size - below.size)]);
  },
});

/** What is not on the disk below: zeroes, and nothing else can be written there. */
function tail(size: bigint): BlockDevice {
  return {
    ...paddingDevice(size),
    write: (offset, data) => {
      if (isZero(data)) return;
      const words = 'truncate: write beyond end of underlying device';
      throw new BlockError('ENOSPC', words, { offset });
    },
  };
}
