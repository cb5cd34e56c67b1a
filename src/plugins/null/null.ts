import { zeroes } from '../../block/data.ts';
import type { BlockDevice, Data } from '../../block/device.ts';
import { inPlace } from '../../block/write-buffer.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';

export default definePlugin({
  name: 'null',
  description: 'a disk that forgets what is written and reads as zeroes',
  parameters: {
    size: { type: 'size', default: '0', bare: true, help: 'Size of the disk' },
  },
  create({ size }) {
    return sourceOf(() => nullDevice(size));
  },
  remake: nullDevice,
});

const SCRATCH = 1 << 20;

function nullDevice(size: bigint): BlockDevice {
  let scratch: Buffer | undefined;
  const land = (length: number): Data => {
    scratch ??= Buffer.allocUnsafeSlow(SCRATCH);
    if (length <= SCRATCH) return scratch.subarray(0, length);
    const views: Uint8Array[] = [];
    for (let left = length; left > 0; left -= SCRATCH) views.push(scratch.subarray(0, left));
    return views;
  };
  return {
    size,
    recipe: { from: size },
    multiConn: true,
    fua: 'native',
    fastZero: 'native',
    read: (_offset, length) => zeroes(length),
    write: () => {},
    // All writes end in the same place, as nobody reads them.
    writeBuffer: (_offset, length) => inPlace(land(length)),
    flush: () => {},
    trim: () => {},
    zero: () => {},
    cache: () => {},
    extents: (_offset, length) => [{ length, hole: true, zero: true }],
  };
}
