import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { supportOf } from '../block/support.ts';
import { characterDevice, type UblkControl } from './control.ts';
import { UblkQueue } from './queue.ts';
import {
  ANY_DEVICE,
  DeviceFlag,
  type DeviceInfo,
  type DiskForm,
  MOST_QUEUES,
  SECTOR,
} from './wire.ts';

const DEPTH = 64;
const LONGEST = 512 << 10;
const PAGE = 4096;
/** For so long somebody may take to make the device's name, in ms. */
const PATIENCE = 5000;

export interface AttachOptions {
  /** The number of the device; undefined: any. */
  readonly id: number | undefined;
  /** How many queues of requests, at least 1; the kernel makes no more than there are processors. */
  readonly queues: number;
  /** When this process is killed, requests wait for another one. */
  readonly recoverable: boolean;
  /** Told of each request that fails. */
  readonly onError: (error: unknown) => void;
}

/** A block device that this process serves. */
export interface Attached {
  readonly id: number;
  /** Settles when somebody has stopped it. */
  readonly ended: Promise<void>;
  /** Takes it away, in use or not: then requests fail. */
  detach(): Promise<void>;
}

/**
 * Makes a block device of a disk.
 * @throws BlockError for a size that devices cannot have; SystemError the number is taken.
 */
export async function attach(
  control: UblkControl,
  disk: BlockDevice,
  { id = ANY_DEVICE, queues, recoverable, onError }: AttachOptions,
): Promise<Attached> {
  const form = formOf(disk);
  const recovery = DeviceFlag.userRecovery | DeviceFlag.userRecoveryReissue;
  const flags =
    DeviceFlag.ioctlEncoded |
    (recoverable ? recovery : 0n) |
    (control.privileged ? 0n : DeviceFlag.unprivileged);
  const info = await control.add({
    ...{ id, flags, depth: DEPTH, longest: LONGEST, queues: Math.min(queues, MOST_QUEUES) },
    ...{ state: 0, pid: -1 },
  });
  try {
    return await serve(control, info, disk, onError, async () => {
      await control.setParameters(info.id, form);
      await control.start(info.id);
    });
  } catch (error) {
    await control.remove(info.id).catch(() => {});
    throw error;
  }
}

/**
 * Serves a device whose process has been killed, with the disk that it had.
 * @throws SystemError there is no such device, or it cannot be recovered.
 */
export async function recover(
  control: UblkControl,
  disk: BlockDevice,
  id: number,
  onError: (error: unknown) => void,
): Promise<Attached> {
  const info = await control.info(id);
  await control.startRecovery(id);
  return serve(control, info, disk, onError, () => control.endRecovery(id));
}

async function serve(
  control: UblkControl,
  info: DeviceInfo,
  disk: BlockDevice,
  onError: (error: unknown) => void,
  start: () => Promise<void>,
): Promise<Attached> {
  const fd = await opened(info.id);
  const queues = Array.from(
    { length: info.queues },
    (_, index) => new UblkQueue(fd, index, info, disk, onError),
  );
  for (const queue of queues) queue.fetch();
  const close = async () => {
    await Promise.all(queues.map(queue => queue.ended));
    for (const queue of queues) queue.close();
    closeSync(fd);
  };
  const end = async () => {
    await close();
    // Who has stopped it may have removed it, too.
    await control.remove(info.id).catch(() => {});
  };
  try {
    await start();
  } catch (error) {
    await control.stop(info.id).catch(() => {});
    await close();
    throw error;
  }
  const ended = end();
  const detach = async () => {
    await control.stop(info.id).catch(() => {});
    await ended;
  };
  return { id: info.id, ended, detach };
}

function formOf(disk: BlockDevice): DiskForm {
  const { size, blockSize, flush, trim, write, rotational = false } = disk;
  const { minimum = SECTOR, preferred = PAGE } = blockSize ?? {};
  if (size === 0n) throw new BlockError('EINVAL', 'the disk is empty: a device needs a sector');
  if (size % BigInt(SECTOR) !== 0n) {
    const why = `a device has whole sectors of ${SECTOR} bytes`;
    throw new BlockError('EINVAL', `the disk has ${size} bytes: ${why}`);
  }
  const block = Math.max(SECTOR, Math.min(PAGE, minimum));
  const { zero, fua } = supportOf(disk);
  return {
    sectors: size / BigInt(SECTOR),
    readOnly: write === undefined,
    rotational,
    cache: write !== undefined && flush !== undefined,
    fua: fua === 'native',
    block: size % BigInt(block) === 0n ? block : SECTOR,
    preferred: Math.max(block, Math.min(preferred, LONGEST)),
    longest: LONGEST,
    discard: write !== undefined && trim !== undefined,
    writeZeroes: zero === 'native',
  };
}

/** Once it has a name that this user may use. @throws BlockError */
async function opened(id: number): Promise<number> {
  const path = characterDevice(id);
  for (const end = performance.now() + PATIENCE; ; await delay(10)) {
    try {
      return openSync(path, 'r+');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'EACCES') throw error;
      if (performance.now() < end) continue;
      const why = code === 'EACCES' ? 'this user may not use it' : 'nobody makes it';
      throw new BlockError(code === 'EACCES' ? 'EACCES' : 'ENOENT', `${path}: ${why}`);
    }
  }
}
