import { alignedDevice } from '../block/aligned.ts';
import { andThen } from '../block/answer.ts';
import { viewsOf, zeroes } from '../block/data.ts';
import type {
  BlockDevice,
  Data,
  ReadOptions,
  RequestOptions,
  WriteOptions,
} from '../block/device.ts';
import { zeroRange } from '../block/emulate.ts';
import { BlockError } from '../block/errors.ts';
import { ReadsUnderWay } from './reads-under-way.ts';

/** A file grows by so many bytes at least, and loses at the end what it does not need. */
const STEP = 16 << 20;
/** As long as it is not as large as that. */
const SMALL_STEP = 1 << 20;

/**
 * The file of an image, which is read past its end as zeroes and grows as it is written. Offsets are
 * numbers for those who know tables, bigints for data.
 */
export class ImageFile {
  readonly device: BlockDevice;
  /** Of data and of tables. */
  readonly reads = new ReadsUnderWay();
  /** Where what is used ends, in bytes. */
  end: number;
  #size: number;
  readonly #before: number;
  #isCut = false;
  #growing: Promise<void> | undefined;

  /** @throws BlockError EIO the file is larger than 2^53-1 bytes. */
  constructor(below: BlockDevice) {
    if (below.size > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new BlockError('EIO', 'the file is larger than images can be');
    }
    this.device = alignedDevice(below);
    this.#size = this.end = this.#before = Number(below.size);
  }

  /** What it grows by reads as zeroes. */
  get growsAsZeroes(): boolean {
    return this.device.resize !== undefined;
  }

  /** Whether it can be written. */
  get writable(): boolean {
    return this.device.write !== undefined;
  }

  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const there = this.#size - Number(offset);
    if (there >= length) return this.device.read(offset, length, options);
    if (there <= 0) return zeroes(length);
    return andThen(this.device.read(offset, there, { signal: options?.signal }), data => [
      ...viewsOf(data),
      ...viewsOf(zeroes(length - there)),
    ]);
  }

  /** A copy of bytes of the file, for whoever keeps them. */
  async bytes(at: number, length: number, options?: RequestOptions): Promise<Buffer> {
    return Buffer.concat(viewsOf(await this.read(BigInt(at), length, options)), length);
  }

  /** Grows the file where it must. */
  write(offset: bigint, data: Uint8Array, options?: WriteOptions): void | PromiseLike<void> {
    return andThen(this.grow(Number(offset) + data.length), () =>
      this.device.write!(offset, data, options),
    );
  }

  /** Makes zeroes of a range, which the file need not have had. */
  async zero(at: number, length: number): Promise<void> {
    await this.grow(at + length);
    const there = Math.min(length, Math.max(0, this.#before - at));
    if (there > 0) await zeroRange(this.device, BigInt(at), there, { mayTrim: true });
    const rest = this.growsAsZeroes ? 0 : length - there;
    if (rest > 0) await zeroRange(this.device, BigInt(at + there), rest, { mayTrim: true });
  }

  async flush(): Promise<void> {
    await this.device.flush?.();
  }

  /** What is in the file up to there may be written from now on. @throws BlockError ENOSPC */
  grow(end: number): void | Promise<void> {
    if (end > this.end) this.end = end;
    if (end > this.#size) return this.#grow(end);
  }

  async #grow(end: number): Promise<void> {
    while (end > this.#size) {
      const wanted = Math.max(end, this.end);
      const step = wanted < STEP ? SMALL_STEP : STEP;
      this.#growing ??= this.#resize(Math.ceil(wanted / step) * step).finally(() => {
        this.#growing = undefined;
      });
      await this.#growing;
    }
  }

  async #resize(size: number): Promise<void> {
    if (!this.device.resize) {
      throw new BlockError('ENOSPC', `the image is full: what holds it cannot grow`);
    }
    await this.device.resize(BigInt(size));
    this.#size = size;
  }

  /** What is in use ends there from now on. */
  cut(end: number): void {
    this.end = end;
    this.#isCut = true;
  }

  /** Gives back what is behind the end, but nothing that was there before by itself. */
  async trimEnd(): Promise<void> {
    await this.#growing;
    const isChanged = this.#isCut || this.#size !== this.#before;
    if (this.device.resize && this.#size > this.end && isChanged) await this.#resize(this.end);
  }

  async close(): Promise<void> {
    await this.device.close?.();
  }
}
