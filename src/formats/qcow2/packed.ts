import { andThen } from '../../block/answer.ts';
import { BlockCache, Budget } from '../../block/block-cache.ts';
import { sliceData, viewsOf } from '../../block/data.ts';
import type { BlockDevice, Data, ReadOptions, RequestOptions } from '../../block/device.ts';
import { BlockError, messageOf } from '../../block/errors.ts';
import { readInto } from '../../block/read-into.ts';
import { Scratch } from '../../block/scratch.ts';
import type { Coding } from '../../codecs/coding.ts';
import { decodeHere } from '../../codecs/decode-here.ts';
import { decoders, type SharedBytes } from '../../codecs/threads.ts';
import type { ImageFile } from '../../images/image-file.ts';

const SECTOR = 512;
/** Of decoded clusters that are kept. */
const BUDGET = 8 << 20;
const LEAST = 4;
/** Clusters on their way, for which there is memory: those of one request of 2 MiB. */
const AT_ONCE = 32;
/** Clusters of so many bytes are decoded sooner than another thread is awake. */
const HERE = 256 << 10;

/** Where in the file a compressed cluster is, in bytes: it ends somewhere before `end`. */
export interface PackedPlace {
  readonly start: number;
  readonly end: number;
}

/** Of the 62 bits of an entry those above say how many more sectors there are. */
const offsetBits = (clusterBits: number) => 62 - (clusterBits - 8);

/** What the entry of a compressed cluster says. */
export function packedAt(slice: Buffer, at: number, clusterBits: number): PackedPlace {
  const high = slice.readUInt32BE(at) & 0x3fff_ffff;
  const bits = offsetBits(clusterBits) - 32;
  const start = (high % 2 ** bits) * 2 ** 32 + slice.readUInt32BE(at + 4);
  const sectors = Math.floor(high / 2 ** bits) + 1;
  return { start, end: start - (start % SECTOR) + sectors * SECTOR };
}

/** The upper and lower half of the entry for compressed bytes. @throws BlockError ENOSPC too far. */
export function packedEntry(start: number, length: number, clusterBits: number): [number, number] {
  const bits = offsetBits(clusterBits);
  if (start >= 2 ** Math.min(bits, 56)) {
    throw new BlockError('ENOSPC', 'the image is too large for compressed clusters');
  }
  const more = Math.floor((start + length - 1) / SECTOR) - Math.floor(start / SECTOR);
  const high = Math.floor(start / 2 ** 32) + more * 2 ** (bits - 32) + 2 ** 30;
  return [high, start % 2 ** 32];
}

/** Compressed clusters, decoded in threads; the last ones are kept. */
export class PackedClusters implements Pick<BlockDevice, 'read'> {
  readonly #file: ImageFile;
  readonly #cluster: number;
  /** They are decoded in this thread. */
  readonly #isShort: boolean;
  readonly #scratch: Scratch;
  readonly #coding: Coding;
  readonly #placeOf: (offset: bigint) => PackedPlace | PromiseLike<PackedPlace>;
  readonly #kept: BlockCache<number, Uint8Array, Promise<Uint8Array>>;

  /** @param placeOf tells where the compressed cluster is that has an offset of the disk. */
  constructor(
    file: ImageFile,
    cluster: number,
    compression: 'zlib' | 'zstd',
    placeOf: (offset: bigint) => PackedPlace | PromiseLike<PackedPlace>,
  ) {
    this.#file = file;
    this.#cluster = cluster;
    this.#isShort = cluster <= HERE;
    // What an entry can say at most.
    this.#scratch = new Scratch(2 * cluster + SECTOR, AT_ONCE);
    // More may follow in the last sector.
    this.#coding = { kind: compression === 'zlib' ? 'deflate' : 'zstd', part: true };
    this.#placeOf = placeOf;
    this.#kept = new BlockCache(new Budget(Math.max(BUDGET, LEAST * cluster)));
  }

  async read(offset: bigint, length: number, options: ReadOptions = {}): Promise<Data> {
    const within = Number(offset & BigInt(this.#cluster - 1));
    const count = Math.ceil((within + length) / this.#cluster);
    const offsets = Array.from({ length: count }, (_, i) => offset + BigInt(i * this.#cluster));
    const isWhole = within === 0 && length === count * this.#cluster;
    if (isWhole && this.#isShort && options.memory) {
      return this.#straight(offsets, options.memory(length), options);
    }
    const clusters = await Promise.all(offsets.map(each => this.#decoded(each, options)));
    return sliceData(clusters.flatMap(viewsOf), within, length);
  }

  /** Whole clusters to where they are wanted, which are not kept. */
  async #straight(
    offsets: readonly bigint[],
    bytes: Uint8Array,
    { signal }: RequestOptions,
  ): Promise<Uint8Array> {
    const one = (place: PackedPlace, target: Uint8Array) => {
      const kept = this.#kept.peek(place.start);
      return kept ? target.set(kept) : this.#decode(place, target, { signal });
    };
    await Promise.all(
      offsets.map((offset, index) => {
        const start = index * this.#cluster;
        const target = bytes.subarray(start, start + this.#cluster);
        return andThen(this.#placeOf(offset), place => one(place, target));
      }),
    );
    return bytes;
  }

  /** What was there is there no more. */
  forget(place: PackedPlace): void {
    this.#kept.delete(place.start);
  }

  /** Asks for what is at a place as soon as that is known, before it can be somebody else's. */
  #decoded(offset: bigint, options?: RequestOptions): PromiseLike<Uint8Array> {
    const make = async (place: PackedPlace, own: RequestOptions) => {
      const Memory = this.#isShort ? ArrayBuffer : SharedArrayBuffer;
      const bytes = new Uint8Array(new Memory(this.#cluster));
      await this.#decode(place, bytes, own);
      return bytes;
    };
    const decode = (place: PackedPlace) =>
      this.#kept.get(place.start, own => make(place, own), options);
    return Promise.resolve(andThen(this.#placeOf(offset), decode));
  }

  async #decode(
    { start, end }: PackedPlace,
    bytes: Uint8Array,
    options: RequestOptions,
  ): Promise<void> {
    const length = end - start;
    const fetch = async <I extends Uint8Array>(input: I) => {
      await readInto(this.#file, BigInt(start), input, options);
      return input;
    };
    try {
      if (this.#isShort) {
        await this.#scratch.with(length, async input =>
          decodeHere(this.#coding, await fetch(input), bytes),
        );
      } else {
        const input = await fetch(new Uint8Array(length));
        await decoders.decode(this.#coding, input, () => bytes as SharedBytes, options);
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      const words = `a compressed cluster at ${start} cannot be read: ${messageOf(error)}`;
      throw new BlockError('EIO', words, { cause: error });
    }
  }
}
