import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { alignedDevice } from '../../../block/aligned.ts';
import { contiguous } from '../../../block/data.ts';
import type { BlockDevice } from '../../../block/device.ts';
import { zeroRange } from '../../../block/emulate.ts';
import { copy } from '../../../copy/copy.ts';
import { FuseLoop } from '../../../fuse/loop.ts';
import { FuseSession } from '../../../fuse/session.ts';
import { mountFuse } from '../../../posix/fuse-mount.ts';
import { createdFile } from '../../../stores/file/beside.ts';
import { temporaryOverlay } from '../../../stores/overlays.ts';
import { atEnd } from '../../ending.ts';

/** A volume that programs change in a file, while the disk stays as it is. */
export interface Staged {
  /** The file. */
  readonly path: string;
  /** The volume with its changes. */
  readonly device: BlockDevice;
  /** Writes the changes to the disk, and makes them durable. */
  commit(): Promise<void>;
  close(): Promise<void>;
}

/** What is kept of changes at once, in bytes. */
const BLOCK = 4096;
/** What is compared at once. */
const PIECE = 1 << 20;
/** Requests of one program. */
const REQUESTS = 16;

/**
 * Shows a volume as a file in a private folder: over FUSE, or where that cannot be, as a copy.
 * @param mount for tests. @throws BlockError
 */
export async function stage(
  volume: BlockDevice,
  folder: string,
  mount = mountFuse,
): Promise<Staged> {
  const path = join(folder, 'volume');
  const device = alignedDevice(volume);
  return (await mounted(device, path, mount)) ?? copied(device, path);
}

/** undefined: nothing can be mounted here. */
async function mounted(
  below: BlockDevice,
  path: string,
  mount: typeof mountFuse,
): Promise<Staged | undefined> {
  const overlay = temporaryOverlay(below.size, BLOCK);
  const device: BlockDevice = {
    size: below.size,
    read: (offset, length, options) => overlay.read(below, offset, length, options),
    write: (offset, data, options) => overlay.write(below, offset, data, options),
  };
  closeSync(openSync(path, 'wx', 0o600));
  let failure: unknown;
  const session = new FuseSession(
    { name: 'volume', device },
    {
      uid: process.geteuid!(),
      gid: process.getegid!(),
      umask: 0o077,
      entryTimeout: 0,
      attributeTimeout: 0,
      keepCache: false,
      // What a program has written is there when it has ended.
      directIo: true,
      allowRoot: false,
      onError: error => {
        failure ??= error;
      },
    },
  );
  const point = await mount(path, {
    source: 'nbdfiles',
    type: 'nbdfiles',
    over: 'file',
    readOnly: false,
    executable: false,
    kernel: [],
    autoUnmount: true,
  }).catch(() => undefined);
  if (!point) {
    await overlay.close();
    return undefined;
  }
  const loop = new FuseLoop(point.fd, session, REQUESTS);
  const serving = loop.serve();
  serving.catch(() => {});
  const unmount = async () => {
    await point.unmount();
    await loop.stop();
  };
  const forget = atEnd(unmount);
  return {
    path,
    device,
    commit: async () => {
      if (failure) throw failure;
      await overlay.writeBack(overlay.all, async (offset, length, data) => {
        if (data) await below.write!(offset, data);
        else await zeroRange(below, offset, length);
      });
      await below.flush?.();
    },
    close: async () => {
      forget();
      await unmount();
      await overlay.close();
    },
  };
}

async function copied(below: BlockDevice, path: string): Promise<Staged> {
  const device = createdFile(path);
  await copy(below, device, { destinationIsZero: true });
  return {
    path,
    device,
    commit: async () => {
      await writeDifferences(device, below);
      await below.flush?.();
    },
    close: async () => device.close?.(),
  };
}

async function writeDifferences(from: BlockDevice, to: BlockDevice): Promise<void> {
  for (let at = 0n; at < to.size; at += BigInt(PIECE)) {
    const length = to.size - at < BigInt(PIECE) ? Number(to.size - at) : PIECE;
    const read = async (device: BlockDevice) =>
      Buffer.from(contiguous(await device.read(at, length)));
    const [changed, old] = await Promise.all([read(from), read(to)]);
    for (let start = 0; start < length; start += BLOCK) {
      const block = changed.subarray(start, start + BLOCK);
      if (!block.equals(old.subarray(start, start + BLOCK))) {
        await to.write!(at + BigInt(start), block);
      }
    }
  }
}
