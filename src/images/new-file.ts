import type { BlockDevice } from '../block/device.ts';
import { ImageFile } from './image-file.ts';

/** The file of a new image: nothing of what was there before is left where it can be made shorter. */
export async function newFile(device: BlockDevice): Promise<ImageFile> {
  await device.resize?.(0n);
  const file = new ImageFile(device);
  file.end = 0;
  return file;
}
