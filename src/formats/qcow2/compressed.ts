import type { BlockDevice, WriteOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { wrapDevice } from '../../block/wrap.ts';
import { packed } from '../../codecs/packing.ts';
import type { State } from './state.ts';

/** The disk of an image as one that takes whole clusters, and compresses what it can. */
export function compressedDevice(disk: BlockDevice, state: State): BlockDevice {
  const { cluster } = state.clusters;
  const packer = new Packer(state);
  return wrapDevice(disk, {
    blockSize: { minimum: cluster, preferred: cluster, maximum: 32 << 20 },
    contexts: undefined,
    read: 'pass',
    write: async (offset, data, options) => {
      const parts: Promise<void>[] = [];
      for (let at = 0; at < data.length; at += cluster) {
        const part = data.subarray(at, at + cluster);
        parts.push(put(disk, packer, offset + BigInt(at), part, options));
      }
      await Promise.all(parts);
    },
    writeBuffer: undefined,
    trim: 'pass',
    zero: 'pass',
    cache: undefined,
    extents: 'pass',
    resize: undefined,
  });
}

/** A cluster, or what there is of the last one. */
async function put(
  disk: BlockDevice,
  packer: Packer,
  offset: bigint,
  data: Uint8Array,
  options: WriteOptions | undefined,
): Promise<void> {
  const { cluster } = packer;
  if (offset % BigInt(cluster) !== 0n) {
    throw new BlockError(
      'EINVAL',
      `compressed clusters have ${cluster} bytes, and are written as a whole`,
    );
  }
  const whole = data.length === cluster ? data : Buffer.concat([data], cluster);
  if (!(await packer.write(offset, whole))) await disk.write!(offset, data, options);
}

/** Puts compressed clusters into the file, one behind the other. */
class Packer {
  readonly cluster: number;
  readonly #state: State;
  #last: Promise<unknown> = Promise.resolve();
  /** Where the next one goes, if it goes on in a cluster that has others. */
  #next = 0;

  constructor(state: State) {
    this.#state = state;
    this.cluster = state.clusters.cluster;
  }

  /** @returns whether it takes less space compressed; else nothing was written. */
  async write(offset: bigint, data: Uint8Array): Promise<boolean> {
    const packing = packed(this.#state.header.compression, data);
    const placed = this.#inOrder(packing);
    this.#last = placed.catch(() => {});
    const at = await placed;
    if (at === undefined) return false;
    const bytes = await packing;
    await this.#state.file.write(BigInt(at), bytes);
    await this.#state.clusters.commitPacked(offset, at, bytes.length);
    return true;
  }

  /** Places are given in the order in which the writes came. @returns undefined: it needs none. */
  async #inOrder(packing: Promise<Uint8Array>): Promise<number | undefined> {
    const before = this.#last;
    const { length } = await packing;
    await before;
    return length < this.cluster ? this.#place(length) : undefined;
  }

  /** Room for so many bytes, less than a cluster: behind the last ones, or at a new cluster. */
  async #place(length: number): Promise<number> {
    const { refcounts } = this.#state;
    const size = this.cluster;
    const last = Math.floor(this.#next / size);
    const goesOn = refcounts.partial === last;
    const fits = goesOn && (this.#next % size) + length <= size;
    const next = fits ? undefined : await this.#newCluster();
    const isBeside = fits || (goesOn && next === (last + 1) * size);
    if (isBeside && (await refcounts.share(last))) return this.#advance(this.#next, length);
    return this.#advance(next ?? (await this.#newCluster()), length);
  }

  async #newCluster(): Promise<number> {
    const { first } = await this.#state.refcounts.allocate(1);
    await this.#state.file.grow((first + 1) * this.cluster);
    return first * this.cluster;
  }

  /** What comes next goes behind these bytes, if there is room in their last cluster. */
  #advance(at: number, length: number): number {
    this.#next = at + length;
    const isFull = this.#next % this.cluster === 0;
    this.#state.refcounts.partial = isFull ? undefined : Math.floor(this.#next / this.cluster);
    return at;
  }
}
