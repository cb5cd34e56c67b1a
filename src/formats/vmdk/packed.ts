import { promisify } from 'node:util';
import { deflate, inflate } from 'node:zlib';
import { BlockCache, Budget } from '../../block/block-cache.ts';
import { isZero, sliceData } from '../../block/data.ts';
import type { BlockDevice, Data, ReadOptions, RequestOptions } from '../../block/device.ts';
import { BlockError, messageOf } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { SECTOR } from './descriptor.ts';
import type { Grains } from './grains.ts';

const unpack = promisify(inflate);
const pack = promisify(deflate);

/** Before a compressed grain: its first sector on the disk, and how many bytes it has. */
const MARKER = 12;
/** Of decoded grains that are kept. */
const BUDGET = 8 << 20;
/** Read at first; most grains are shorter. */
const GUESS = 32 << 10;

/** Compressed grains, decoded in threads; the last ones are kept. */
export class PackedGrains implements Pick<BlockDevice, 'read'> {
  readonly #file: ImageFile;
  readonly #grains: Grains;
  readonly #kept: BlockCache<number, Uint8Array, Promise<Uint8Array>>;

  constructor(file: ImageFile, grains: Grains) {
    this.#file = file;
    this.#grains = grains;
    this.#kept = new BlockCache(new Budget(Math.max(BUDGET, 4 * grains.cluster)));
  }

  async read(offset: bigint, length: number, options?: ReadOptions): Promise<Data> {
    const grain = this.#grains.cluster;
    const first = Number(offset / BigInt(grain));
    const within = Number(offset % BigInt(grain));
    const count = Math.ceil((within + length) / grain);
    const decoded = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        this.#kept.get(first + index, own => this.#decode(first + index, own), options),
      ),
    );
    return sliceData(decoded, within, length);
  }

  async #decode(index: number, options: RequestOptions): Promise<Uint8Array> {
    const { cluster: grain, header } = this.#grains;
    const at = (await this.#grains.packedAt(index))!;
    // What does not become shorter is allowed to become longer.
    const most = header.markers ? 2 * grain + MARKER : 2 * grain;
    let bytes = await this.#file.bytes(at, header.markers ? Math.min(GUESS, most) : most, options);
    if (header.markers) {
      const length = MARKER + bytes.readUInt32LE(8);
      if (length > most) throw damaged(at, `it has ${length} bytes`);
      if (length > bytes.length) bytes = await this.#file.bytes(at, length, options);
      bytes = bytes.subarray(MARKER, length);
    }
    try {
      const unpacked = await unpack(bytes, { maxOutputLength: grain });
      if (unpacked.length === grain) return unpacked;
      // The last one of a disk may be cut off.
      return Buffer.concat([unpacked], grain);
    } catch (error) {
      throw damaged(at, messageOf(error));
    }
  }
}

function damaged(at: number, why: string): BlockError {
  return new BlockError('EIO', `vmdk: a compressed grain at ${at} cannot be read: ${why}`);
}

/**
 * The disk as one that is written once, in whole grains, each of which is compressed and appended.
 */
export function packingDevice(disk: BlockDevice, file: ImageFile, grains: Grains): BlockDevice {
  const grain = grains.cluster;
  const put = async (offset: bigint, bytes: Uint8Array) => {
    const index = Number(offset / BigInt(grain));
    if ((await grains.packedAt(index)) !== undefined) {
      throw new BlockError('EIO', 'vmdk: a compressed grain cannot be written once more', {
        offset,
      });
    }
    if (isZero(bytes)) return;
    const packed = await pack(bytes);
    const length = Math.ceil((MARKER + packed.length) / SECTOR) * SECTOR;
    const whole = Buffer.alloc(length);
    whole.writeBigUInt64LE(offset / BigInt(SECTOR));
    whole.writeUInt32LE(packed.length, 8);
    packed.copy(whole, MARKER);
    const place = grains.takePacked(length);
    await file.write(BigInt(place), whole);
    await grains.leadTo(index, place);
  };
  return wrapDevice(disk, {
    ...PASS,
    blockSize: { minimum: Math.min(grain, 65536), preferred: grain, maximum: 1 << 25 },
    write: async (offset, data) => {
      if (Number(offset % BigInt(grain)) !== 0) {
        throw new BlockError('EINVAL', 'vmdk: compressed grains are written as a whole');
      }
      const parts = Math.ceil(data.length / grain);
      await Promise.all(
        Array.from({ length: parts }, (_, index) => {
          const start = index * grain;
          const bytes = Buffer.from(data.subarray(start, start + grain));
          return put(offset + BigInt(start), bytes);
        }),
      );
    },
    flush: () => grains.flush(),
    trim: undefined,
    zero: undefined,
  });
}
