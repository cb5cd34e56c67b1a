import { afterClose } from './close-all.ts';
import type { DeviceSource, OpenRequest } from './device.ts';

const SOURCE_METHODS = Object.keys({
  preconnect: true,
  open: true,
  list: true,
  defaultExport: true,
  close: true,
} satisfies Record<keyof DeviceSource, true>) as (keyof DeviceSource)[];

/** The source below, but for what is given here; its methods keep their `this`. */
export function passSource(below: DeviceSource, own: Partial<DeviceSource> = {}): DeviceSource {
  const passed = SOURCE_METHODS.flatMap(method =>
    below[method] ? [[method, (below[method] as () => void).bind(below)]] : [],
  );
  return { ...Object.fromEntries(passed), ...own };
}

/**
 * The source below, with something that is done before each device is opened. What that answers is
 * called once the device is closed, or could not be opened.
 */
export function whileOpen(
  below: DeviceSource,
  enter: (request: OpenRequest) => (() => void) | PromiseLike<() => void>,
): DeviceSource {
  return passSource(below, {
    open: async request => {
      const leave = await enter(request);
      try {
        return afterClose(await below.open(request), leave);
      } catch (error) {
        leave();
        throw error;
      }
    },
  });
}
