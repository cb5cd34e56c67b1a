import { alignedDevice } from '../../block/aligned.ts';
import { andThen } from '../../block/answer.ts';
import type { BlockDevice, RequestOptions, WriteOptions, ZeroOptions } from '../../block/device.ts';
import { settle, zeroRange } from '../../block/emulate.ts';
import { UsageError } from '../../block/errors.ts';
import { supportOf } from '../../block/support.ts';
import { wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';
import type { Overlay, WriteBelow } from '../../stores/overlay.ts';
import { OVERLAY_BLOCK, Overlays } from '../../stores/overlays.ts';
import { type Bounds, Limit } from './limit.ts';

const MODES = ['writeback', 'writethrough', 'unsafe'] as const;
type Mode = (typeof MODES)[number];

export default defineFilter({
  name: 'cache',
  description: 'keeps what was read or written in a local file',
  parameters: {
    cache: { type: 'string', choices: MODES, default: 'writeback', help: 'When writes go below' },
    'cache-min-block-size': { ...OVERLAY_BLOCK, help: 'What is kept at once (default: 64K)' },
    'cache-max-size': { type: 'size', minimum: 1 << 20, help: 'Most bytes that are kept' },
    'cache-high-threshold': {
      type: 'integer',
      minimum: 1,
      default: '95',
      help: 'Per cent of the most at which blocks begin to go',
    },
    'cache-low-threshold': {
      type: 'integer',
      minimum: 1,
      default: '80',
      help: 'Per cent of the most at which no more go',
    },
    'cache-on-read': {
      type: 'switch',
      default: 'false',
      help: 'Keep what is read, or do so while a file exists',
    },
    'cache-file': { type: 'path', help: 'File that keeps the cache from run to run' },
  },
  create(parameters, source, { warn }) {
    const { cache: mode, 'cache-on-read': onRead } = parameters;
    const bounds = boundsOf(
      parameters['cache-max-size'],
      parameters['cache-high-threshold'],
      parameters['cache-low-threshold'],
    );
    const overlays = new Overlays(
      'cache-min-block-size',
      parameters['cache-min-block-size'],
      parameters['cache-file'],
    );
    const limits = new WeakMap<Overlay, Limit>();
    return overlays.over(source, async (below, overlay) => {
      if (bounds && !limits.has(overlay)) limits.set(overlay, new Limit(overlay, bounds, warn));
      const disk = new CachedDisk(below, overlay, limits.get(overlay), mode);
      // What an earlier run with another mode has left in the file.
      if (mode === 'writethrough') await disk.writeBack();
      return disk.device(onRead);
    });
  },
});

function boundsOf(most: bigint | undefined, high: number, low: number): Bounds | undefined {
  if (most === undefined) return undefined;
  if (low >= high) {
    const words = `cache-low-threshold=${low} and cache-high-threshold=${high}`;
    throw new UsageError(`${words}: expected the low one to be less than the high one`);
  }
  const part = (percent: number) => (Number(most) / 100) * percent;
  return { high: part(high), low: part(low) };
}

/** The disk of one connection, under the cache of all. */
class CachedDisk {
  readonly #below: BlockDevice;
  /** The same, with any offset and length. */
  readonly #disk: BlockDevice;
  readonly #overlay: Overlay;
  readonly #limit: Limit | undefined;
  readonly #mode: Mode;

  constructor(below: BlockDevice, overlay: Overlay, limit: Limit | undefined, mode: Mode) {
    this.#below = below;
    this.#disk = alignedDevice(below);
    this.#overlay = overlay;
    this.#limit = limit;
    this.#mode = mode;
  }

  /** Gives the disk below what was changed of some blocks; of all unless told. */
  async writeBack(blocks = this.#overlay.all, options: WriteOptions = {}): Promise<void> {
    if (!this.#disk.write) return;
    await this.#overlay.writeBack(blocks, this.#writing(options), options);
    await settle(this.#disk, options);
  }

  device(onRead: () => boolean): BlockDevice {
    const disk = this.#disk;
    const overlay = this.#overlay;
    const fill = (offset: bigint, length: number, options?: RequestOptions) =>
      this.#using(offset, length, () => overlay.fill(disk, offset, length, options));
    const { trim } = disk;
    return wrapDevice(this.#below, {
      blockSize: overlay.blockSize,
      contexts: undefined,
      read: (offset, length, options) =>
        this.#using(offset, length, () =>
          onRead()
            ? overlay.readAndKeep(disk, offset, length, options)
            : overlay.readLocked(disk, offset, length, options),
        ),
      write: disk.write && ((offset, data, options) => this.#write(offset, data, options)),
      writeBuffer: undefined,
      zero: disk.write && ((offset, length, options) => this.#zero(offset, length, options)),
      trim:
        trim &&
        ((offset, length, options) =>
          overlay.passThrough(offset, length, () => trim(offset, length, options), true, options)),
      cache: fill,
      extents: (offset, length, options) => overlay.extents(disk, offset, length, options),
      resize: undefined,
      ...(disk.write && this.#lasting()),
    });
  }

  /** When what was written reaches the disk below. */
  #lasting(): Partial<BlockDevice> {
    const unsafe = this.#mode === 'unsafe';
    return {
      fua: unsafe || supportOf(this.#disk).fua !== 'none' ? 'native' : 'none',
      fastZero: 'emulated',
      flush: async options => {
        if (!unsafe) {
          await this.writeBack(undefined, options);
          await this.#disk.flush?.(options);
        }
        await this.#overlay.flush();
      },
      close: async () => {
        try {
          if (!unsafe) await this.writeBack();
        } finally {
          await this.#below.close?.();
        }
      },
    };
  }

  #write(offset: bigint, data: Uint8Array, options?: WriteOptions) {
    return this.#using(offset, data.length, () => {
      if (this.#mode === 'writethrough') {
        const through = async () => {
          await this.#writing(options)(offset, data.length, data);
          await settle(this.#disk, options);
        };
        return this.#overlay.writeThrough(this.#disk, offset, data, through, options);
      }
      const written = this.#overlay.write(this.#disk, offset, data, options);
      return andThen(written, () => this.#durable(offset, data.length, options));
    });
  }

  #zero(offset: bigint, length: number, options?: ZeroOptions) {
    if (this.#mode === 'writethrough') {
      const through = () => zeroRange(this.#disk, offset, length, options);
      return this.#overlay.passThrough(offset, length, through, false, options);
    }
    const zeroed = this.#overlay.zero(this.#disk, offset, length, options);
    return andThen(zeroed, () => this.#durable(offset, length, options));
  }

  /** Does what FUA asks for. */
  #durable(offset: bigint, length: number, options?: WriteOptions): void | Promise<void> {
    if (!options?.fua || this.#mode === 'unsafe') return undefined;
    const blocks = this.#overlay.blocksOf(offset, length);
    return this.writeBack(blocks, options).then(() => this.#overlay.flush());
  }

  #writing({ fua = false, signal }: WriteOptions = {}): WriteBelow {
    const disk = this.#disk;
    const own = { fua: fua && disk.fua === 'native', signal };
    return (offset, length, data) =>
      data
        ? disk.write!(offset, data, own)
        : zeroRange(disk, offset, length, { ...own, mayTrim: true });
  }

  /** Acts, and keeps the cache within its bounds. */
  #using<T>(offset: bigint, length: number, act: () => T | PromiseLike<T>): T | PromiseLike<T> {
    const limit = this.#limit;
    return limit ? this.#within(limit, offset, length, act) : act();
  }

  async #within<T>(
    limit: Limit,
    offset: bigint,
    length: number,
    act: () => T | PromiseLike<T>,
  ): Promise<T> {
    const answer = await act();
    limit.used(this.#overlay.blocksOf(offset, length));
    await limit.keep(this.#writing());
    return answer;
  }
}
