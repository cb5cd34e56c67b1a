import { andThen } from './answer.ts';
import { sliceData } from './data.ts';
import {
  type BlockDevice,
  type BlockSize,
  type Data,
  type ExtentsOptions,
  type ReadOptions,
  type RequestOptions,
  UNTORN,
  type WriteOptions,
  type ZeroOptions,
} from './device.ts';
import { BlockError } from './errors.ts';
import { runsFrom } from './extents.ts';
import { eachPart, type Part, readParts } from './parts.ts';
import { holding, RangeLock } from './range-lock.ts';
import { readInto } from './read-into.ts';
import { Scratch } from './scratch.ts';
import { outward, type Segment, segmentsOf } from './segments.ts';
import { wrapDevice } from './wrap.ts';

const LONGEST = 2 ** 32 - 1;
/** Room to round lengths up in. */
const MOST_RUNS = 2 ** 52;

export interface AlignOptions {
  /** The minimum block size to have, in bytes; 1 unless told. */
  readonly minimum?: number;
  /** To be shared by all devices that are over the same bytes. */
  readonly locks?: Locks | undefined;
}

type Locks = Pick<RangeLock, 'shared' | 'exclusive'>;

/**
 * A device that takes any offset and length over one that takes whole blocks only, of which the last
 * may be cut off by the end of the device. Blocks that are written in part are read, changed and
 * written, so that nobody's bytes are lost; requests that are too long are cut. A device that takes
 * everything is given back as it is.
 */
export function alignedDevice(
  below: BlockDevice,
  { minimum = 1, locks = new RangeLock() }: AlignOptions = {},
): BlockDevice {
  const { blockSize } = below;
  if (!blockSize || blockSize.advisory) return below;
  const blocks = new Blocks(below, blockSize, locks);
  const { trim, zero, cache, extents } = below;
  return wrapDevice(below, {
    blockSize: {
      minimum,
      preferred: Math.max(blockSize.preferred, minimum),
      maximum: LONGEST,
    },
    contexts: below.contexts?.map(context => ({
      name: context.name,
      status: (offset, length, options) =>
        blocks.runs((at, span) => context.status(at, span, options), offset, length),
    })),
    read: (offset, length, options) => blocks.read(offset, length, options),
    write: below.write && ((offset, data, options) => blocks.write(offset, data, options)),
    // Whoever is slow to fill one would keep everybody from the blocks at its ends.
    writeBuffer: undefined,
    trim: trim && ((offset, length, options) => blocks.trim(offset, length, options)),
    zero: zero && ((offset, length, options) => blocks.zero(offset, length, options)),
    cache: cache && ((offset, length, options) => blocks.cache(offset, length, options)),
    extents:
      extents &&
      ((offset, length, options?: ExtentsOptions) =>
        blocks.runs((at, span) => below.extents!(at, span, options), offset, length)),
    resize: 'pass',
  });
}

/** Requests of any kind as requests of whole blocks. */
class Blocks {
  readonly #below: BlockDevice;
  readonly #locks: Locks;
  readonly #block: number;
  /** What a request is cut between: more than a block where those are small. */
  readonly #unit: number;
  /** Longest payload, in whole units. */
  readonly #most: number;
  readonly #scratch: Scratch;

  constructor(below: BlockDevice, { minimum, maximum }: BlockSize, locks: Locks) {
    this.#below = below;
    this.#locks = locks;
    this.#block = minimum;
    const unit = Math.max(minimum, UNTORN);
    this.#unit = unit <= maximum ? unit : minimum;
    this.#most = maximum - (maximum % this.#unit);
    this.#scratch = new Scratch(this.#unit, 4);
  }

  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const { start, span } = this.#outward(offset, length, this.#block);
    const parts = this.#cut(start, span, 0);
    if (span === length) return readParts(parts, options);
    // More bytes than the caller has memory for.
    const answer = readParts(parts, { signal: options?.signal });
    return andThen(answer, data => sliceData(data, Number(offset - start), length));
  }

  write(offset: bigint, data: Uint8Array, options?: WriteOptions): void | PromiseLike<void> {
    const write = (at: bigint, from: number, length: number) =>
      eachPart(
        this.#cut(at, length, Number(at % BigInt(this.#unit))),
        (part, done) => {
          const start = from + done;
          const bytes = data.subarray(start, start + part.length);
          return this.#below.write!(part.offset, bytes, options);
        },
        options?.signal,
      );
    const whole = () => write(offset, 0, data.length);
    if (this.#fits(offset, data.length)) {
      return this.#locked(false, offset, data.length, options, whole);
    }
    return this.#change(offset, data.length, options, segment =>
      segment.whole
        ? write(segment.offset, segment.at, segment.length)
        : this.#patch(segment, data.subarray(segment.at, segment.at + segment.length), options),
    );
  }

  zero(offset: bigint, length: number, options?: ZeroOptions): void | PromiseLike<void> {
    const zero = (at: bigint, span: number) => this.#below.zero!(at, span, options);
    if (this.#fits(offset, length)) {
      return this.#locked(false, offset, length, options, () => zero(offset, length));
    }
    if (options?.fastZero) {
      throw new BlockError('ENOTSUP', `zeroing a part of a block of ${this.#block} is not fast`);
    }
    const written: WriteOptions = { fua: options?.fua, signal: options?.signal };
    return this.#change(offset, length, options, segment =>
      segment.whole
        ? zero(segment.offset, segment.length)
        : this.#patch(segment, new Uint8Array(segment.length), written),
    );
  }

  /** Blocks of which the range has only a part stay as they are. */
  trim(offset: bigint, length: number, options?: WriteOptions): void | PromiseLike<void> {
    const inner = this.#segments(offset, length, this.#block).find(({ whole }) => whole);
    if (!inner) return;
    return this.#locked(false, inner.offset, inner.length, options, () =>
      this.#below.trim!(inner.offset, inner.length, options),
    );
  }

  cache(offset: bigint, length: number, options?: RequestOptions): void | PromiseLike<void> {
    const { start, span } = this.#outward(offset, Math.min(length, MOST_RUNS), this.#block);
    return this.#below.cache!(start, span, options);
  }

  runs<R extends { readonly length: number }>(
    ask: (offset: bigint, length: number) => R[] | PromiseLike<R[]>,
    offset: bigint,
    length: number,
  ): R[] | PromiseLike<R[]> {
    const { start, span } = this.#outward(offset, Math.min(length, MOST_RUNS), this.#block);
    return andThen(ask(start, span), runs => {
      const cut = runsFrom(runs, Number(offset - start), length);
      if (cut.length > 0) return cut;
      throw new BlockError('EIO', `the device told of less than a block of ${this.#block} bytes`);
    });
  }

  #fits(offset: bigint, length: number): boolean {
    return this.#outward(offset, length, this.#block).span === length;
  }

  #outward(offset: bigint, length: number, block: number): { start: bigint; span: number } {
    return outward(offset, length, block, this.#below.size);
  }

  #segments(offset: bigint, length: number, unit: number): Segment[] {
    return segmentsOf(offset, length, unit, this.#below.size);
  }

  /**
   * A payload of whole blocks in as many requests as it takes.
   * @param within where in a unit it begins, to be cut between units.
   */
  #cut(offset: bigint, length: number, within: number): Part[] {
    const parts: Part[] = [];
    for (let done = 0; done < length; ) {
      const room = done === 0 ? this.#most - within : this.#most;
      const part = Math.min(room, length - done);
      parts.push({ device: this.#below, offset: offset + BigInt(done), length: part });
      done += part;
    }
    return parts;
  }

  /** Acts on each segment, while nobody else changes the units that these lie in. */
  #change(
    offset: bigint,
    length: number,
    options: RequestOptions | undefined,
    act: (segment: Segment) => void | PromiseLike<void>,
  ): void | PromiseLike<void> {
    const { start, span } = this.#outward(offset, length, this.#unit);
    const segments = this.#segments(offset, length, this.#unit);
    const all = async () => {
      for (const segment of segments) {
        options?.signal?.throwIfAborted();
        await act(segment);
      }
    };
    const only = () => act(segments[0]!);
    return this.#locked(true, start, span, options, segments.length === 1 ? only : all);
  }

  #locked(
    alone: boolean,
    offset: bigint,
    length: number,
    options: RequestOptions | undefined,
    act: () => void | PromiseLike<void>,
  ): void | PromiseLike<void> {
    const lock = alone
      ? this.#locks.exclusive(offset, length, options?.signal)
      : this.#locks.shared(offset, length, options?.signal);
    return holding(lock, act);
  }

  /** A part of one unit, at one go. */
  #patch(
    { offset, length }: Segment,
    bytes: Uint8Array,
    options?: WriteOptions,
  ): void | PromiseLike<void> {
    const { start, span } = this.#outward(offset, length, this.#block);
    return this.#scratch.with(span, blocks =>
      andThen(readInto(this.#below, start, blocks, options), () => {
        blocks.set(bytes, Number(offset - start));
        options?.signal?.throwIfAborted();
        return this.#below.write!(start, blocks, options);
      }),
    );
  }
}
