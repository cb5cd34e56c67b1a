import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { sliceDevice } from '../../block/slice.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'offset',
  description: 'a part of the disk',
  parameters: {
    offset: { type: 'size', default: '0', help: 'Where the part starts' },
    range: { type: 'size', help: 'Its length (default: to the end)' },
  },
  wrap: (device, { offset, range }) => part(device, offset, range),
});

function part(device: BlockDevice, start: bigint, range: bigint | undefined): BlockDevice {
  const { size } = device;
  if (start > size) {
    throw new BlockError('EIO', `offset=${start} is past the end of the disk, which is ${size}`);
  }
  const length = range ?? size - start;
  if (start + length > size) {
    const end = `offset=${start} and range=${length} reach past the end of the disk`;
    throw new BlockError('EIO', `${end}, which is ${size}`);
  }
  return sliceDevice(device, start, length);
}
