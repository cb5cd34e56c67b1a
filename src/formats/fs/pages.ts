import { alignedDevice } from '../../block/aligned.ts';
import { BlockCache, Budget } from '../../block/block-cache.ts';
import type { BlockDevice, Data, ReadOptions, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readInto } from '../../block/read-into.ts';

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
    const [first, ...others] = await this.#views(what, offset, length, options);
    return others.length > 0 ? Buffer.concat([first!, ...others]) : (first ?? Buffer.alloc(0));
  }

  /** Bytes of files; the range lies on the device. */
  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    if (length >= PAGE) return this.#device.read(offset, length, options);
    return this.#views('data', Number(offset), length, options);
  }

  /** The parts of pages in which a range lies. */
  async #views(
    what: string,
    offset: number,
    length: number,
    options?: RequestOptions,
  ): Promise<Buffer[]> {
    if (!(offset >= 0 && offset + length <= this.size)) {
      throw new BlockError('EIO', `${what}: is outside of the disk`);
    }
    const views: Buffer[] = [];
    for (let at = offset; at < offset + length; ) {
      const page = Math.floor(at / PAGE);
      const [start, end] = [at - page * PAGE, Math.min(PAGE, offset + length - page * PAGE)];
      views.push((await this.#page(page, options)).subarray(start, end));
      at = page * PAGE + end;
    }
    return views;
  }

  #page(page: number, options?: RequestOptions): Buffer | PromiseLike<Buffer> {
    return this.#cache.get(page, asked => this.#read(page * PAGE, asked), options);
  }

  async #read(offset: number, options: RequestOptions): Promise<Buffer> {
    const own = Buffer.allocUnsafeSlow(Math.min(PAGE, this.size - offset));
    await readInto(this.#device, BigInt(offset), own, options);
    return own;
  }
}
