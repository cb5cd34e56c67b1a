import { afterClose } from './close-all.ts';
import type { BlockDevice, DeviceSource, OpenRequest } from './device.ts';
import { checkDevice } from './well-formed.ts';
import { PASS, wrapDevice } from './wrap.ts';

const SOURCE_METHODS = Object.keys({
  preconnect: true,
  open: true,
  list: true,
  defaultExport: true,
  close: true,
} satisfies Record<keyof DeviceSource, true>) as (keyof DeviceSource)[];

/**
 * A source as it is; for a device one that gives it to all connections, and never closes it.
 * @throws BlockError EIO for what is neither.
 */
export function asSource(what: BlockDevice | DeviceSource): DeviceSource {
  if (what && 'open' in what) return what;
  const device = checkDevice(what);
  return { open: () => wrapDevice(device, { ...PASS, close: () => {} }) };
}

/** The source below, but for what is given here; its methods keep their `this`. */
export function passSource(below: DeviceSource, own: Partial<DeviceSource> = {}): DeviceSource {
  const passed = SOURCE_METHODS.flatMap(method =>
    below[method] ? [[method, (below[method] as () => void).bind(below)]] : [],
  );
  return { ...Object.fromEntries(passed), ...own };
}

/** What stands for the disk that a client asks for: its export, or '' where there is only one. */
export async function exportKey(source: DeviceSource, request: OpenRequest): Promise<string> {
  if (!source.list) return '';
  return request.exportName || ((await source.defaultExport?.(request)) ?? '');
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
