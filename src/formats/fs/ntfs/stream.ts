import { BlockCache, Budget } from '../../../block/block-cache.ts';
import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { decodeLznt1 } from '../../../codecs/lznt1.ts';
import { damaged, unsupported } from '../damaged.ts';
import {
  bytesDevice,
  type FindRun,
  fileDevice,
  inRuns,
  type Readable,
  type Run,
} from '../file-device.ts';
import type { Pages } from '../pages.ts';
import type { Boot } from './boot.ts';
import type { Attribute } from './record.ts';

/** Pieces of one value; more are damage. */
const MOST_RUNS = 1 << 20;
const KEPT = 8 << 20;
/** Bytes that are compressed as one. */
const LONGEST_UNIT = 1 << 20;

/** Clusters in a row, counted from the start of the value; no `at`: a hole. */
interface Piece {
  readonly first: number;
  readonly count: number;
  readonly at?: number;
}

/**
 * The value of an attribute, of which there may be several parts.
 * @throws BlockError EIO, ENOTSUP it is encrypted.
 */
export function streamOf(
  pages: Pages,
  boot: Boot,
  parts: readonly Attribute[],
  what: string,
): BlockDevice {
  const first = parts.find(({ value, mapped }) => value || mapped?.firstCluster === 0);
  if (!first) throw damaged(what, 'the start of an attribute is missing');
  if (first.encrypted) throw unsupported(what, 'encryption');
  if (first.value) return bytesDevice(first.value);
  const { size, initialized, unit } = first.mapped!;
  if (size === 0n) return bytesDevice(Buffer.alloc(0));
  const pieces = piecesOf(boot, parts, what);
  const runs = first.compressed
    ? compressedRuns(pages, boot, pieces, unit, what)
    : pieces.map(piece => plainRun(pages, boot, piece));
  const whole = padded(runs, size);
  return fileDevice(size, asInitialized(inRuns(whole), initialized, size));
}

/** What was never written is zero, whatever is there. */
function asInitialized(find: FindRun, initialized: bigint, size: bigint) {
  return async (offset: bigint, options: RequestOptions): Promise<Run> => {
    if (offset >= initialized) return { start: offset, end: size, allocated: true };
    const run = await find(offset, options);
    return run.end > initialized ? { ...run, end: initialized } : run;
  };
}

/** Runs up to the end of the value. */
function padded(runs: readonly Run[], size: bigint): readonly Run[] {
  const end = runs.at(-1)?.end ?? 0n;
  return end < size ? [...runs, { start: end, end: size }] : runs;
}

function plainRun(pages: Pages, { cluster }: Boot, { first, count, at }: Piece): Run {
  const unit = BigInt(cluster);
  const run = { start: BigInt(first) * unit, end: BigInt(first + count) * unit };
  return at === undefined ? run : { ...run, from: pages, at: BigInt(at) * unit };
}

/** The mapping pairs of all parts: how many clusters, and how far they are from those before. */
function piecesOf({ clusters }: Boot, parts: readonly Attribute[], what: string): Piece[] {
  const pieces: Piece[] = [];
  let next = 0;
  const sorted = parts.flatMap(({ mapped }) => mapped ?? []);
  sorted.sort((a, b) => a.firstCluster - b.firstCluster);
  for (const { firstCluster, pairs } of sorted) {
    if (firstCluster !== next) throw damaged(what, 'a part of an attribute is missing');
    let at = 0;
    for (let place = 0; place < pairs.length && pairs[place] !== 0; ) {
      const [lengthBytes, offsetBytes] = [pairs[place]! & 15, pairs[place]! >> 4];
      const end = place + 1 + lengthBytes + offsetBytes;
      const fits = lengthBytes >= 1 && lengthBytes <= 6 && offsetBytes <= 6 && end <= pairs.length;
      if (!fits) throw damaged(what, 'its mapping is damaged');
      const count = pairs.readUIntLE(place + 1, lengthBytes);
      if (offsetBytes > 0) at += pairs.readIntLE(place + 1 + lengthBytes, offsetBytes);
      const inside = offsetBytes === 0 || (at >= 0 && at + count <= clusters);
      if (count === 0 || !inside) throw damaged(what, `its mapping leads to cluster ${at}`);
      pieces.push({ first: next, count, ...(offsetBytes > 0 && { at }) });
      if (pieces.length > MOST_RUNS) throw damaged(what, 'it has too many pieces');
      next += count;
      place = end;
    }
  }
  return pieces;
}

/** Units of clusters: all of them there, none, or some that the others are decoded from. */
function compressedRuns(
  pages: Pages,
  { cluster }: Boot,
  pieces: readonly Piece[],
  unit: number,
  what: string,
): Run[] {
  const bytes = unit * cluster;
  if (unit === 1 || bytes > LONGEST_UNIT)
    throw damaged(what, `${bytes} bytes are compressed as one`);
  const cache = new BlockCache<number, Buffer>(new Budget(KEPT));
  const units = new Map<number, Piece[]>();
  for (const piece of pieces) {
    const last = piece.first + piece.count;
    for (let at = piece.first; at < last; ) {
      const index = Math.floor(at / unit);
      const count = Math.min(last, (index + 1) * unit) - at;
      const place = piece.at === undefined ? {} : { at: piece.at + (at - piece.first) };
      const list = units.get(index) ?? [];
      list.push({ first: at, count, ...place });
      units.set(index, list);
      if (units.size > MOST_RUNS) throw damaged(what, 'it has too many pieces');
      at += count;
    }
  }
  return [...units].map(([index, list]): Run => {
    const start = BigInt(index) * BigInt(bytes);
    const run = { start, end: start + BigInt(bytes) };
    const there = list.filter(({ at }) => at !== undefined);
    if (there.length === 0) return run;
    const stored = there.reduce((sum, { count }) => sum + count, 0) < unit;
    const content = (options?: RequestOptions) =>
      cache.get(
        index,
        asked => unitContent(pages, cluster, there, stored ? bytes : undefined, what, asked),
        options,
      );
    return { ...run, at: 0n, from: partsOf(content) };
  });
}

async function unitContent(
  pages: Pages,
  cluster: number,
  pieces: readonly Piece[],
  decoded: number | undefined,
  what: string,
  options?: RequestOptions,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (const { at, count } of pieces) {
    const place = BigInt(at!) * BigInt(cluster);
    parts.push(contiguous(await pages.read(place, count * cluster, options)));
  }
  const stored = Buffer.concat(parts);
  if (decoded === undefined) return stored;
  try {
    return decodeLznt1(stored, decoded);
  } catch (error) {
    throw damaged(what, `its compression: ${(error as Error).message}`);
  }
}

function partsOf(content: (options?: RequestOptions) => Buffer | PromiseLike<Buffer>): Readable {
  return {
    async read(at, length, options) {
      return (await content(options)).subarray(Number(at), Number(at) + length);
    },
  };
}
