import type { BlockDevice, DeviceSource, OpenRequest } from '../block/device.ts';
import { openOnce } from '../block/open-once.ts';
import { shareSource } from '../block/shared.ts';
import { passSource } from '../block/source.ts';
import { wrapSource } from '../declare/declare.ts';

/**
 * What the files of a source hold, each opened for reading, once for all connections.
 * @param keep what takes long to open stays open when the last client has left.
 */
export function expandedSource(
  below: DeviceSource,
  open: (file: BlockDevice, request: OpenRequest) => Promise<BlockDevice>,
  { keep = false } = {},
): DeviceSource {
  const share = keep ? openOnce : shareSource;
  const source = share(wrapSource(below, open));
  return passSource(source, {
    open: request => source.open({ ...request, readOnly: true }),
  });
}
