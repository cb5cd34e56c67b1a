import { controllerForMany } from './abortable.ts';
import { closeAll } from './close-all.ts';
import type { BlockDevice, DeviceSource } from './device.ts';
import { shareSource } from './shared.ts';
import { passSource } from './source.ts';

/** A source that opens each export once, for all connections, and keeps it open until the end. */
export function openOnce(below: DeviceSource): DeviceSource {
  const shared = shareSource(below);
  // One more user for each, who stays until the end.
  const kept = new Map<string, Promise<BlockDevice>>();
  return passSource(shared, {
    open: async request => {
      const device = await shared.open(request);
      const key = `${request.readOnly} ${request.exportName}`;
      if (!kept.has(key)) {
        const { signal } = controllerForMany();
        kept.set(key, Promise.resolve(shared.open({ ...request, signal, disconnect: () => {} })));
      }
      await kept.get(key);
      return device;
    },
    close: async () => {
      await closeAll(await Promise.all(kept.values()));
      await below.close?.();
    },
  });
}
