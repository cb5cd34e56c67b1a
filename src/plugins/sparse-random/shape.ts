import { contiguous } from '../../block/data.ts';
import { ExtentList } from '../../block/extents.ts';
import { keystream } from '../../content/keystream.ts';

/** Bytes of a block: data and holes are whole blocks. */
export const BLOCK = 4096;
/** Runs of each kind in a chunk, on average: enough to make what is cut at its ends rare. */
const RUNS = 256;
const CACHED_CHUNKS = 64;
const MAX_RUNS = 4096;

/** The runs of one chunk: `ends[i]` is where run i ends, in blocks from the start of the chunk. */
interface Chunk {
  readonly ends: Float64Array;
  /** The first run is data; then they alternate. */
  readonly dataFirst: boolean;
}

/** Average lengths of runs in blocks; Infinity: all is of that kind. */
export interface Means {
  readonly data: number;
  readonly hole: number;
}

/**
 * Average run lengths that give `percent` of data; the fraction wins over the run length where whole
 * blocks allow only one of them.
 */
export function meansOf(percent: number, runLength: bigint): Means {
  if (percent <= 0) return { data: 0, hole: Number.POSITIVE_INFINITY };
  if (percent >= 100) return { data: Number.POSITIVE_INFINITY, hole: 0 };
  const ratio = (100 - percent) / percent;
  const data = Math.max(1, Number(runLength) / BLOCK, 1 / ratio);
  return { data, hole: data * ratio };
}

/**
 * Where the data lies: runs of geometrically distributed lengths, as a coin tossed at every block
 * would give them. Each chunk of the disk is drawn from the key and its number alone, when it is
 * first looked at, so that a disk of any size takes no memory.
 */
export class Shape {
  readonly #key: Buffer;
  readonly #means: Means;
  /** Blocks of a chunk. */
  readonly #chunkBlocks: number;
  readonly #chunks = new Map<number, Chunk>();

  constructor(key: Buffer, means: Means) {
    this.#key = key;
    this.#means = means;
    let blocks = 1;
    while (blocks < RUNS * (means.data + means.hole) && blocks < 2 ** 53) blocks *= 2;
    this.#chunkBlocks = blocks;
  }

  /**
   * Calls with each run in `length` bytes from `offset` on, in order, until one answers false.
   * @param visit gets the offset of the run within the range, its length in bytes and its kind.
   */
  walk(
    offset: bigint,
    length: number,
    visit: (at: number, length: number, data: boolean) => unknown,
  ): void {
    const first = Number(offset / BigInt(BLOCK));
    const within = Number(offset % BigInt(BLOCK));
    let index = Math.floor(first / this.#chunkBlocks);
    let block = first - index * this.#chunkBlocks;
    for (let at = 0; at < length; index++, block = 0) {
      const { ends, dataFirst } = this.#chunk(index);
      for (let run = firstAbove(ends, block); run < ends.length && at < length; run++) {
        const bytes = (ends[run]! - block) * BLOCK - (at === 0 ? within : 0);
        const step = Math.min(length - at, bytes);
        if (visit(at, step, (run % 2 === 0) === dataFirst) === false) return;
        at += step;
        block = ends[run]!;
      }
    }
  }

  extents(offset: bigint, length: number) {
    const list = new ExtentList();
    this.walk(offset, length, (_at, run, data) => {
      list.add(run, !data, !data);
      return list.extents.length < MAX_RUNS;
    });
    return list.extents;
  }

  #chunk(index: number): Chunk {
    const cached = this.#chunks.get(index);
    if (cached) return cached;
    if (this.#chunks.size === CACHED_CHUNKS) this.#chunks.clear();
    const chunk = this.#draw(index);
    this.#chunks.set(index, chunk);
    return chunk;
  }

  #draw(index: number): Chunk {
    const { data, hole } = this.#means;
    const blocks = this.#chunkBlocks;
    if (!Number.isFinite(data + hole)) {
      return { ends: Float64Array.of(blocks), dataFirst: hole === 0 };
    }
    const draw = uniforms(this.#key, index);
    const dataFirst = draw() < data / (data + hole);
    const scales = [scaleOf(dataFirst ? data : hole), scaleOf(dataFirst ? hole : data)];
    const ends: number[] = [];
    for (let end = 0; end < blocks; ) {
      const length = Math.max(1, Math.ceil(logarithm(draw()) * scales[ends.length % 2]!));
      end = Math.min(blocks, end + length);
      ends.push(end);
    }
    return { ends: Float64Array.from(ends), dataFirst };
  }
}

/** Numbers above 0 and up to 1 that belong to a chunk. */
function uniforms(key: Buffer, chunk: number): () => number {
  let words = new Uint32Array(0);
  let next = 0;
  let piece = 0;
  return () => {
    if (next === words.length) {
      // A piece is 4 KiB of keystream; 2^16 pieces keep chunks apart.
      const offset = (BigInt(chunk) * 65536n + BigInt(piece++)) * 4096n;
      const bytes = Buffer.from(contiguous(keystream(key, offset, 4096)));
      words = Uint32Array.from({ length: 1024 }, (_, i) => bytes.readUInt32LE(i * 4));
      next = 0;
    }
    return (words[next++]! + 1) / 2 ** 32;
  };
}

/** 1 / ln(1 - 1/mean): turns the logarithm of a uniform number into a run's length. */
function scaleOf(mean: number): number {
  if (mean <= 1) return 0;
  // What 1/mean loses when it is taken from 1 would soon be more than this differs.
  return mean > 1e6 ? 0.5 - mean : 1 / logarithm(1 - 1 / mean);
}

/**
 * The natural logarithm by additions, multiplications and divisions only, which every machine rounds
 * alike; Math.log may differ in the last bit.
 */
function logarithm(x: number): number {
  let exponent = 0;
  let mantissa = x;
  for (; mantissa < 0.75; exponent--) mantissa *= 2;
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let sum = 0;
  for (let odd = 21; odd >= 1; odd -= 2) sum = sum * square + 1 / odd;
  return 2 * ratio * sum + exponent * Math.LN2;
}

/** The first run that ends after `block`. */
function firstAbove(ends: Float64Array, block: number): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle]! <= block) low = middle + 1;
    else high = middle;
  }
  return low;
}
