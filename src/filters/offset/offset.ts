import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { RangeLock } from '../../block/range-lock.ts';
import { sliceDevice } from '../../block/slice.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'offset',
  description: 'a part of the disk',
  parameters: {
    offset: { type: 'size', default: '0', help: 'Where the part starts' },
    range: { type: 'size', help: 'Its length (default: to the end)' },
  },
  create({ offset, range }, below) {
    // For all connections, whose writes may share a block of the disk below.
    const locks = new RangeLock();
    return wrapSource(below, device => part(device, offset, range, locks));
  },
});

function part(
  device: BlockDevice,
  start: bigint,
  range: bigint | undefined,
  locks: RangeLock,
): BlockDevice {
  const { size } = device;
  if (start > size) {
    throw new BlockError('EIO', `offset=${start} is past the end of the disk, which is ${size}`);
  }
  const length = range ?? size - start;
  if (start + length > size) {
    const end = `offset=${start} and range=${length} reach past the end of the disk`;
    throw new BlockError('EIO', `${end}, which is ${size}`);
  }
  return sliceDevice(device, start, length, { locks });
}
