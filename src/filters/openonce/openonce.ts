import { controllerForMany } from '../../block/abortable.ts';
import { closeAll } from '../../block/close-all.ts';
import type { BlockDevice } from '../../block/device.ts';
import { shareSource } from '../../block/shared.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'openonce',
  description: 'opens each export of the plugin once, for all clients',
  parameters: {},
  create(_parameters, below) {
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
  },
});
