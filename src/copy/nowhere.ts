import { type BlockDevice, MAX_SIZE } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';

/** Where everything is lost. */
export const nowhere: BlockDevice = {
  size: MAX_SIZE,
  read: () => {
    throw new BlockError('EIO', 'null: cannot be read');
  },
  write: () => {},
  zero: () => {},
};
