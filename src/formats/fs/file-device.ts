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
export type FindRun = (offset: bigint, options: RequestOptions) => Run | Promise<Run>;

/** Runs that are gone through for one answer. */
const MOST_RUNS = 4096;

/**
 * The content of a file that lies in runs, which are found when they are needed.
 * @throws BlockError EIO it is longer than a device can be.
 */
export function fileDevice(size: bigint, find: FindRun): BlockDevice {
  if (size > MAX_SIZE) throw damaged('file', `it has ${size} bytes`);
  let last: Run | undefined;
  const runAt = async (offset: bigint, options: RequestOptions): Promise<Run> => {
    if (!last || offset < last.start || offset >= last.end) last = await find(offset, options);
    return last;
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

async function readRuns(
  runAt: (offset: bigint, options: RequestOptions) => Promise<Run>,
  offset: bigint,
  length: number,
  { signal, memory }: ReadOptions,
): Promise<Data> {
  const views: Uint8Array[] = [];
  const whole = await runAt(offset, { signal });
  const end = offset + BigInt(length);
  if (whole.end >= end) return readOf(whole, offset, length, { signal, memory });
  // Several answers are needed at once: each has memory of its own.
  for (let at = offset; at < end; ) {
    const run = await runAt(at, { signal });
    const until = run.end < end ? run.end : end;
    const data = await readOf(run, at, Number(until - at), { signal });
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
  runAt: (offset: bigint, options: RequestOptions) => Promise<Run>,
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

/** Finds runs in a list that is in order and without gaps. */
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
