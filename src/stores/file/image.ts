import { closeSync } from 'node:fs';
import type { DeviceSource } from '../../block/device.ts';
import { namelessFile } from '../../posix/temporary.ts';
import { fileDevice } from './device.ts';
import { sharedDescriptor } from './open.ts';

/**
 * An image that `make` writes into a temporary file, which has no name and is gone with the
 * source; every client reads the same.
 * @throws what `make` throws.
 */
export async function temporaryImage(make: (fd: number) => Promise<void>): Promise<DeviceSource> {
  const fd = namelessFile();
  try {
    await make(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const image = fileDevice(sharedDescriptor(fd, true));
  return { open: () => image, close: () => closeSync(fd) };
}
