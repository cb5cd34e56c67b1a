import type { BlockDevice, Data, OpenRequest, ReadOptions } from '../../block/device.ts';
import type { BlockError } from '../../block/errors.ts';

/** Makes the error of bytes that are not what they should be. @param what is wrong, in words. */
export type Differs = (offset: bigint, what: string) => BlockError;

/** What reads of a disk, which are within it, are compared with. */
export interface Comparison {
  /** Bytes of the disk that are what they should be. @throws BlockError EIO for others. */
  read(offset: bigint, length: number, options?: ReadOptions): Promise<Data>;
  close?(): void | PromiseLike<void>;
}

/** @throws BlockError the disk is another one than what there is to compare it with. */
export type Compare = (
  disk: BlockDevice,
  differs: Differs,
  request: OpenRequest,
) => Comparison | Promise<Comparison>;
