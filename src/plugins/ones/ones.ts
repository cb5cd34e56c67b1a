import type { BlockDevice } from '../../block/device.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';

export default definePlugin({
  name: 'ones',
  description: 'a disk on which every byte is 0xff or another of your choice',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
    byte: {
      type: 'integer',
      minimum: 0,
      maximum: 255,
      default: '0xff',
      help: 'The byte, 0 to 255',
    },
  },
  create({ size, byte }) {
    const ones = Buffer.alloc(1 << 20, byte);
    return sourceOf(() => onesDevice(size, ones));
  },
});

function onesDevice(size: bigint, ones: Buffer): BlockDevice {
  return {
    size,
    multiConn: true,
    read: (_offset, length) => {
      if (length <= ones.length) return ones.subarray(0, length);
      const views: Uint8Array[] = [];
      for (let left = length; left > 0; left -= ones.length) views.push(ones.subarray(0, left));
      return views;
    },
    cache: () => {},
  };
}
