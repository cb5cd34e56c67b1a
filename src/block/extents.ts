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
}

/** The runs cut to `length` bytes in all. */
export function clipExtents(extents: readonly Extent[], length: number): Extent[] {
  const clipped = new ExtentList();
  for (const { length: run, hole, zero } of extents) {
    clipped.add(Math.min(run, length - clipped.length), hole, zero);
    if (clipped.length === length) break;
  }
  return clipped.extents;
}
