import { andThen } from './answer.ts';
import type { BlockDevice, Extent, RequestOptions } from './device.ts';
import { allExtents } from './emulate.ts';
import { cutRuns, ExtentList } from './extents.ts';

/**
 * The extents of a device in whole blocks, for filters that ask more of their callers than the device
 * does: a block is a hole, or zeroes, when all of it is. The last one may be cut off by the end.
 * @param block in bytes.
 */
export function extentsInBlocks(device: BlockDevice, block: number): BlockDevice['extents'] {
  if (!device.extents || block === 1) return device.extents?.bind(device);
  return (offset, length, options) =>
    andThen(device.extents!(offset, length, { signal: options?.signal }), runs => {
      const { whole, rest } = inBlocks(cutRuns(runs, 0, length), block);
      const reached = offset + BigInt(whole.length + rest.length);
      if (reached === device.size) whole.add(rest.length, ...kindOf(rest));
      if (whole.length > 0) return whole.extents;
      return firstBlock(device, offset, Math.min(block, length), options);
    });
}

/** Runs as whole blocks, and what is left over. */
function inBlocks(runs: readonly Extent[], block: number): { whole: ExtentList; rest: Extent } {
  const whole = new ExtentList();
  let rest: Extent = { length: 0, hole: true, zero: true };
  for (const run of runs) {
    const head = rest.length === 0 ? 0 : Math.min(block - rest.length, run.length);
    if (head > 0) rest = { ...both(rest, run), length: rest.length + head };
    if (rest.length === block) {
      whole.add(block, ...kindOf(rest));
      rest = { length: 0, hole: true, zero: true };
    }
    const left = run.length - head;
    const tail = left % block;
    whole.add(left - tail, run.hole, run.zero);
    if (tail > 0) rest = { ...run, length: tail };
  }
  return { whole, rest };
}

async function firstBlock(
  device: BlockDevice,
  offset: bigint,
  length: number,
  options: RequestOptions | undefined,
): Promise<Extent[]> {
  const runs = await allExtents(device, offset, length, options);
  return [{ ...runs.reduce(both), length }];
}

function both(one: Extent, other: Extent): Extent {
  const { length } = one;
  return { length, hole: one.hole && other.hole, zero: one.zero && other.zero };
}

function kindOf({ hole, zero }: Extent): [hole: boolean, zero: boolean] {
  return [hole, zero];
}
