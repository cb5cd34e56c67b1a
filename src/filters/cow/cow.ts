import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { passSource } from '../../block/source.ts';
import { wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';
import type { Overlay } from '../../stores/overlay.ts';
import { OVERLAY_BLOCK, Overlays } from '../../stores/overlays.ts';

/** When blocks are copied without having been written. */
interface Copying {
  readonly onRead: () => boolean;
  readonly onCache: boolean;
}

export default defineFilter({
  name: 'cow',
  description: 'keeps writes aside, for all clients, and leaves the disk as it is',
  parameters: {
    'cow-block-size': { ...OVERLAY_BLOCK, help: 'What is kept at once (default: 64K)' },
    'cow-on-cache': { type: 'boolean', default: 'false', help: 'Keep what clients have cached' },
    'cow-on-read': {
      type: 'switch',
      default: 'false',
      help: 'Keep what is read, or do so while a file exists',
    },
    'cow-file': { type: 'path', help: 'File that keeps what is written from run to run' },
  },
  create(parameters, source) {
    const copying = { onRead: parameters['cow-on-read'], onCache: parameters['cow-on-cache'] };
    const overlays = new Overlays(
      'cow-block-size',
      parameters['cow-block-size'],
      parameters['cow-file'],
    );
    const open = (request: OpenRequest) => source.open({ ...request, readOnly: true });
    return overlays.over(passSource(source, { open }), (below, overlay) =>
      cowDevice(below, overlay, copying),
    );
  },
});

function cowDevice(
  below: BlockDevice,
  overlay: Overlay,
  { onRead, onCache }: Copying,
): BlockDevice {
  const disk = alignedDevice(below);
  return wrapDevice(below, {
    multiConn: true,
    // What is thrown away at the end is as durable as it can be.
    fua: overlay.lasting ? 'emulated' : 'native',
    fastZero: 'emulated',
    blockSize: overlay.blockSize,
    contexts: [
      { name: 'nbdpipe:changed', status: (offset, length) => overlay.changes(offset, length) },
    ],
    read: (offset, length, options) =>
      onRead()
        ? overlay.readAndKeep(disk, offset, length, options)
        : overlay.read(disk, offset, length, options),
    write: (offset, data, options) => overlay.write(disk, offset, data, options),
    writeBuffer: undefined,
    flush: () => overlay.flush(),
    trim: (offset, length, options) => overlay.zero(disk, offset, length, options),
    zero: (offset, length, options) => overlay.zero(disk, offset, length, options),
    cache: (offset, length, options) =>
      onCache ? overlay.fill(disk, offset, length, options) : disk.cache?.(offset, length, options),
    extents: (offset, length, options) => overlay.extents(disk, offset, length, options),
    resize: undefined,
  });
}
