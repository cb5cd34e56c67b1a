import type { BlockDevice, DeviceSource } from '../block/device.ts';
import { withRecipeOf } from '../block/recipe.ts';
import { shareSource } from '../block/shared.ts';

/**
 * A source of one file: all connections, whatever they ask for, have what the first of them has found,
 * even where servers have several.
 */
export function fileSource(open: (signal: AbortSignal) => Promise<BlockDevice>): DeviceSource {
  let file: BlockDevice | undefined;
  const shared = shareSource({
    open: async ({ signal }) => {
      file = await open(signal);
      return file;
    },
  });
  return {
    open: async request => {
      const device = await shared.open({ ...request, exportName: '', readOnly: true });
      return withRecipeOf(file!, device);
    },
  };
}
