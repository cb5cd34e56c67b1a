import type { BlockDevice, DeviceSource } from '../block/device.ts';
import { shareSource } from '../block/shared.ts';

/**
 * A source of one file: all connections, whatever they ask for, have what the first of them has found,
 * even where servers have several.
 */
export function fileSource(open: (signal: AbortSignal) => Promise<BlockDevice>): DeviceSource {
  const shared = shareSource({ open: ({ signal }) => open(signal) });
  return {
    open: request => shared.open({ ...request, exportName: '', readOnly: true }),
  };
}
