import { alignedDevice } from '../../block/aligned.ts';
import { andThen } from '../../block/answer.ts';
import type { BlockDevice, Data, ReadOptions, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readInto } from '../../block/read-into.ts';
import { Frames, type MakeBlock } from './frames.ts';

/** Bytes that are read at once, as what a file system keeps together is read together. */
const PAGE = 1 << 16;
/** Bytes of pages that are kept. */
const KEPT = 32 << 20;

/**
 * A device as file systems read it: what is small comes from pages that are kept, what is large goes
 * past them. The bytes that are given are the caller's own.
 */
export class Pages {
  readonly size: number;
  readonly #device: BlockDevice;
  readonly #frames = new Frames<number>(PAGE, KEPT);

  /** @throws BlockError ENOTSUP it has more than 2^53-1 bytes. */
  constructor(device: BlockDevice) {
    this.#device = alignedDevice(device);
    this.size = Number(device.size);
    if (!Number.isSafeInteger(this.size)) {
      throw new BlockError('ENOTSUP', 'disks of more than 8 PiB are not supported');
    }
  }

  /**
   * Bytes of a structure, at once where they are there.
   * @param what is named when the device ends before they do. @throws BlockError
   */
  structure(
    what: string,
    offset: number,
    length: number,
    options?: RequestOptions,
  ): Buffer | PromiseLike<Buffer> {
    if (!(offset >= 0 && offset + length <= this.size)) {
      throw new BlockError('EIO', `${what}: is outside of the disk`);
    }
    const own = Buffer.allocUnsafe(length);
    return andThen(this.#fill(own, offset, options), () => own);
  }

  /** Bytes of files; the range lies on the device. */
  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    if (length >= PAGE) return this.#device.read(offset, length, options);
    const target = options?.memory?.(length) ?? Buffer.allocUnsafe(length);
    return andThen(this.#fill(target, Number(offset), options), () => target);
  }

  #fill(target: Uint8Array, offset: number, options?: RequestOptions): void | PromiseLike<void> {
    if (target.length === 0) return;
    const page = Math.floor(offset / PAGE);
    const start = offset - page * PAGE;
    const part = target.subarray(0, PAGE - start);
    const make: MakeBlock = (memory, asked) => this.#read(page * PAGE, memory, asked);
    return andThen(this.#frames.copy(page, start, part, make, options), () =>
      this.#fill(target.subarray(part.length), offset + part.length, options),
    );
  }

  #read(offset: number, memory: Buffer, options: RequestOptions): number | PromiseLike<number> {
    const page = memory.subarray(0, this.size - offset);
    return andThen(readInto(this.#device, BigInt(offset), page, options), () => page.length);
  }
}
