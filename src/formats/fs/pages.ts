import { alignedDevice } from '../../block/aligned.ts';
import { BlockCache, Budget } from '../../block/block-cache.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, Data, ReadOptions, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';

/** Bytes that are read at once, as what a file system keeps together is read together. */
const PAGE = 1 << 16;
/** Bytes of pages that are kept. */
const KEPT = 32 << 20;

/**
 * A device as file systems read it: what is small comes from pages that are kept, what is large goes
 * past them.
 */
export class Pages {
  readonly size: number;
  readonly #device: BlockDevice;
  readonly #cache = new BlockCache<number, Buffer>(new Budget(KEPT));

  /** @throws BlockError ENOTSUP it has more than 2^53-1 bytes. */
  constructor(device: BlockDevice) {
    this.#device = alignedDevice(device);
    this.size = Number(device.size);
    if (!Number.isSafeInteger(this.size)) {
      throw new BlockError('ENOTSUP', 'disks of more than 8 PiB are not supported');
    }
  }

  /**
   * Bytes of a structure, which are the cache's.
   * @param what is named when the device ends before they do. @throws BlockError
   */
  async structure(
    what: string,
    offset: number,
    length: number,
    options?: RequestOptions,
  ): Promise<Buffer> {
    if (!(offset >= 0 && offset + length <= this.size)) {
      throw new BlockError('EIO', `${what}: is outside of the disk`);
    }
    if (length === 0) return Buffer.alloc(0);
    const first = Math.floor(offset / PAGE);
    const last = Math.floor((offset + length - 1) / PAGE);
    const skip = offset - first * PAGE;
    if (first === last) return (await this.#page(first, options)).subarray(skip, skip + length);
    const pages = [];
    for (let page = first; page <= last; page++) pages.push(await this.#page(page, options));
    return Buffer.concat(pages).subarray(skip, skip + length);
  }

  /** Bytes of files; the range lies on the device. */
  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    if (length >= PAGE) return this.#device.read(offset, length, options);
    return this.structure('data', Number(offset), length, options);
  }

  #page(page: number, options?: RequestOptions): Buffer | PromiseLike<Buffer> {
    return this.#cache.get(page, asked => this.#read(page * PAGE, asked), options);
  }

  async #read(offset: number, options: RequestOptions): Promise<Buffer> {
    const length = Math.min(PAGE, this.size - offset);
    const bytes = contiguous(await this.#device.read(BigInt(offset), length, options));
    // It may be a view of memory that others use again or write.
    return Buffer.from(bytes);
  }
}
