import { andThen } from '../../block/answer.ts';
import { zeroes } from '../../block/data.ts';
import {
  type BlockDevice,
  type Data,
  type Extent,
  type ExtentsOptions,
  MAX_SIZE,
  type ReadOptions,
  type RequestOptions,
} from '../../block/device.ts';
import { ExtentList } from '../../block/extents.ts';
import { damaged } from './damaged.ts';

/** What bytes are read from: `Pages`, or something that decodes. */
export type Readable = Pick<BlockDevice, 'read'>;

/** A part of a file, in bytes from its start on: zeroes, or the bytes of `from` at `at`. */
export interface Run {
  readonly start: bigint;
  readonly end: bigint;
  readonly from?: Readable | undefined;
  readonly at?: bigint | undefined;
  /** Zeroes that take space all the same: written to by nobody yet. */
  readonly allocated?: boolean | undefined;
}

/** The run in which an offset lies; it contains the offset. */
export type FindRun = (offset: bigint, options: RequestOptions) => Run | PromiseLike<Run>;

/** Runs that are gone through for one answer. */
const MOST_RUNS = 4096;

/**
 * The content of a file that lies in runs, which are found when they are needed; where none is, what is
 * read fails with EIO. @throws BlockError EIO it is longer than a device can be.
 */
export function fileDevice(size: bigint, find: FindRun): BlockDevice {
  if (size > MAX_SIZE) throw damaged('file', `it has ${size} bytes`);
  let last: Run | undefined;
  const isIn = (run: Run | undefined, offset: bigint) =>
    run !== undefined && offset >= run.start && offset < run.end;
  const runAt: FindRun = (offset, options) => {
    if (isIn(last, offset)) return last!;
    return andThen(find(offset, options), run => {
      if (!isIn(run, offset)) throw damaged('file', `none of its parts has the byte at ${offset}`);
      last = run;
      return run;
    });
  };
  return {
    size,
    multiConn: true,
    read: (offset, length, options = {}) => readRuns(runAt, offset, length, options),
    extents: (offset, length, options = {}) => runsOf(runAt, offset, length, options),
  };
}

/** Whole content in memory: small files, links. */
export function bytesDevice(bytes: Buffer): BlockDevice {
  return {
    size: BigInt(bytes.length),
    multiConn: true,
    read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
  };
}

function readRuns(
  runAt: FindRun,
  offset: bigint,
  length: number,
  options: ReadOptions,
): Data | PromiseLike<Data> {
  const end = offset + BigInt(length);
  return andThen(runAt(offset, options), run =>
    run.end >= end
      ? readOf(run, offset, length, options)
      : readSeveral(runAt, offset, end, options),
  );
}

/** Several answers are needed at once, each in memory of its own or in a part of what is lent. */
async function readSeveral(
  runAt: FindRun,
  offset: bigint,
  end: bigint,
  { signal, memory }: ReadOptions,
): Promise<Data> {
  const lent = memory?.(Number(end - offset));
  const views: Uint8Array[] = [];
  for (let at = offset; at < end; ) {
    const run = await runAt(at, { signal });
    const until = run.end < end ? run.end : end;
    const start = Number(at - offset);
    const part = lent && ((length: number) => lent.subarray(start, start + length));
    const data = await readOf(run, at, Number(until - at), { signal, memory: part });
    if (data instanceof Uint8Array) views.push(data);
    else views.push(...data);
    at = until;
  }
  return views;
}

function readOf(run: Run, offset: bigint, length: number, options: ReadOptions) {
  if (!run.from) return zeroes(length);
  return run.from.read(run.at! + (offset - run.start), length, options);
}

async function runsOf(
  runAt: FindRun,
  offset: bigint,
  length: number,
  { signal, one }: ExtentsOptions,
): Promise<Extent[]> {
  const list = new ExtentList();
  for (let count = 0; list.length < length && count < MOST_RUNS; count++) {
    const at = offset + BigInt(list.length);
    const { end, from, allocated = from !== undefined } = await runAt(at, { signal });
    const left = length - list.length;
    const run = end - at < BigInt(left) ? Number(end - at) : left;
    list.add(run, !allocated, !from);
    if (one) break;
  }
  return list.extents;
}

/** Finds runs in a list that is in order and without gaps; another one where the list is too short. */
export function inRuns(runs: readonly Run[]): FindRun {
  return offset => {
    let [low, high] = [0, runs.length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (runs[middle]!.end <= offset) low = middle + 1;
      else high = middle;
    }
    return runs[low]!;
  };
}
