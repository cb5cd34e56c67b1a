import type { BlockDevice } from './device.ts';
import { clipExtents } from './extents.ts';
import { wrapDevice } from './wrap.ts';

/** The `size` bytes of a device from `start` on, as a device. Both in bytes; must lie inside. */
export function sliceDevice(below: BlockDevice, start: bigint, size: bigint): BlockDevice {
  return wrapDevice(below, {
    size,
    read: (offset, length, options) => below.read(start + offset, length, options),
    write: below.write && ((offset, data, options) => below.write!(start + offset, data, options)),
    writeBuffer:
      below.writeBuffer && ((offset, length) => below.writeBuffer!(start + offset, length)),
    resize: undefined,
    trim: below.trim && ((offset, length, options) => below.trim!(start + offset, length, options)),
    zero: below.zero && ((offset, length, options) => below.zero!(start + offset, length, options)),
    cache: below.cache && ((offset, length) => below.cache!(start + offset, length)),
    extents:
      below.extents &&
      (async (offset, length) => {
        const room = Number(size - offset);
        return clipExtents(await below.extents!(start + offset, length), room);
      }),
    contexts: below.contexts?.map(context => ({
      name: context.name,
      status: (offset, length) => context.status(start + offset, length),
    })),
  });
}
