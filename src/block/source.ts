import type { BlockDevice, DeviceSource } from './device.ts';
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
