import type { BlockDevice } from './device.ts';
import type { Turns } from './turns.ts';
import { composed } from './wrap.ts';

/**
 * A device whose calls take turns: as many are under way at once as `turns` lets be, which several
 * devices may share. Closing waits for all that came before. What it can do is what the device can do
 * now, and stays so, also if another one takes its place.
 * @param current the device that calls go to when it is their turn.
 */
export function serialiseDevice(
  device: BlockDevice,
  turns: Turns,
  current: () => BlockDevice = () => device,
): BlockDevice {
  const { write, flush, trim, zero, cache, extents, resize } = device;
  return composed({
    get size() {
      return current().size;
    },
    description: device.description,
    rotational: device.rotational,
    multiConn: device.multiConn,
    blockSize: device.blockSize,
    fua: device.fua,
    zeroing: device.zeroing,
    fastZero: device.fastZero,
    caching: device.caching,
    opaque: device.opaque,
    contexts: device.contexts?.map(({ name }, index) => ({
      name,
      status: (offset, length, options) =>
        turns.run(
          () => current().contexts![index]!.status(offset, length, options),
          options?.signal,
        ),
    })),
    recipe: undefined,
    read: (offset, length, options) =>
      turns.run(() => current().read(offset, length, options), options?.signal),
    write:
      write &&
      ((offset, data, options) =>
        turns.run(() => current().write!(offset, data, options), options?.signal)),
    // Whoever is slow to fill one would keep the others from their turn.
    writeBuffer: undefined,
    flush: flush && (options => turns.run(() => current().flush!(options), options?.signal)),
    trim:
      trim &&
      ((offset, length, options) =>
        turns.run(() => current().trim!(offset, length, options), options?.signal)),
    zero:
      zero &&
      ((offset, length, options) =>
        turns.run(() => current().zero!(offset, length, options), options?.signal)),
    cache:
      cache &&
      ((offset, length, options) =>
        turns.run(() => current().cache!(offset, length, options), options?.signal)),
    extents:
      extents &&
      ((offset, length, options) =>
        turns.run(() => current().extents!(offset, length, options), options?.signal)),
    resize:
      resize &&
      ((size, options) => turns.run(() => current().resize!(size, options), options?.signal)),
    close: () => turns.alone(() => current().close?.()),
  });
}
