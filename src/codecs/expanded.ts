import type { BlockDevice, DeviceSource, OpenRequest } from '../block/device.ts';
import { openOnce } from '../block/open-once.ts';
import { readOnlyDevice } from '../block/read-only.ts';
import { shareSource } from '../block/shared.ts';
import { passSource } from '../block/source.ts';
import { wrapSource } from '../declare/declare.ts';

export interface SharedOptions {
  /** What takes long to open stays open when the last client has left. */
  readonly keep?: boolean;
}

/** A source each export of which is opened for reading, once for all connections. */
export function sharedForReading(
  source: DeviceSource,
  { keep = false }: SharedOptions = {},
): DeviceSource {
  const shared = keep ? openOnce(source) : shareSource(source);
  return passSource(shared, {
    open: async request => {
      const device = await shared.open({ ...request, readOnly: true });
      return device.write ? readOnlyDevice(device) : device;
    },
  });
}

/** What the files of a source hold, shared so. */
export function expandedSource(
  below: DeviceSource,
  open: (file: BlockDevice, request: OpenRequest) => Promise<BlockDevice>,
  options?: SharedOptions,
): DeviceSource {
  return sharedForReading(wrapSource(below, open), options);
}
