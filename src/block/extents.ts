import type { Extent } from './device.ts';

/** Collects runs in order and joins neighbours of one kind. */
export class ExtentList {
  readonly extents: Extent[] = [];
  /** Bytes covered so far. */
  length = 0;

  add(length: number, hole: boolean, zero: boolean): void {
    if (length === 0) return;
    this.length += length;
    const last = this.extents.at(-1);
    if (last && last.hole === hole && last.zero === zero) {
      this.extents[this.extents.length - 1] = { length: last.length + length, hole, zero };
    } else {
      this.extents.push({ length, hole, zero });
    }
  }

  addData(length: number): void {
    this.add(length, false, false);
  }

  addHole(length: number): void {
    this.add(length, true, true);
  }

  /** Adds runs cut to `length` bytes in all; whether there were as many. */
  addRuns(runs: readonly Extent[], length: number): boolean {
    const end = this.length + length;
    for (const { length: run, hole, zero } of runs) {
      this.add(Math.min(run, end - this.length), hole, zero);
    }
    return this.length === end;
  }
}

/** Runs of any kind without their first `skip` bytes, those that begin within `length` bytes then. */
export function runsFrom<R extends { readonly length: number }>(
  runs: readonly R[],
  skip: number,
  length: number,
): R[] {
  const found: R[] = [];
  let at = -skip;
  for (const run of runs) {
    if (at >= length) break;
    const end = at + run.length;
    if (end > Math.max(at, 0)) found.push(at < 0 ? { ...run, length: end } : run);
    at = end;
  }
  return found;
}

/** The same, cut to `length` bytes in all. */
export function cutRuns<R extends { readonly length: number }>(
  runs: readonly R[],
  skip: number,
  length: number,
): R[] {
  const cut = runsFrom(runs, skip, length);
  const over = cut.reduce((sum, run) => sum + run.length, 0) - length;
  const last = cut.at(-1);
  if (last && over > 0) cut[cut.length - 1] = { ...last, length: last.length - over };
  return cut;
}
