import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import type { RangeLock } from '../../block/range-lock.ts';

/** A file in an archive. */
export interface ArchiveEntry {
  readonly name: string;
  /** Bytes of its content. */
  readonly size: number;
  /** One line for people. */
  readonly description?: string | undefined;
  /**
   * Its content as a disk.
   * @param archive is closed with it. @throws BlockError ENOTSUP it is kept in a way that is not
   * known.
   */
  open(archive: BlockDevice, options: OpenEntry): BlockDevice | Promise<BlockDevice>;
}

export interface OpenEntry extends RequestOptions {
  /** To be shared by all who write to the archive. */
  readonly locks?: RangeLock | undefined;
  readonly debug?: ((message: string) => void) | undefined;
}

/** Whether a name is that of an entry, however it says that it is relative. */
export function isNamed({ name }: ArchiveEntry, wanted: string): boolean {
  const bare = (path: string) => path.replace(/^(\.?\/)+/, '');
  return name === wanted || bare(name) === bare(wanted);
}
