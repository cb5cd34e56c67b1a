import type { Extent } from '../block/device.ts';
import { ExtentList } from '../block/extents.ts';
import type { PageTable } from './page-table.ts';

/** Bytes of a page. */
export const PAGE = 32768;
const SHIFT = 15n;
const MASK = 32767n;
const MAX_RUNS = 4096;

/** A range of a disk in pages: the first one, where in it the range starts, one past the last. */
export interface PageRange {
  readonly first: number;
  readonly within: number;
  readonly end: number;
}

export function pagesOf(offset: bigint, length: number): PageRange {
  const first = Number(offset >> SHIFT);
  const within = Number(offset & MASK);
  return { first, within, end: first + Math.ceil((within + length) / PAGE) };
}

/** Runs of present pages as data and of absent ones as holes. */
export function tableExtents(table: PageTable<unknown>, offset: bigint, length: number): Extent[] {
  const { first, within, end } = pagesOf(offset, length);
  const list = new ExtentList();
  const add = (pages: number, from: number, hole: boolean) => {
    const bytes = pages * PAGE - (from === first ? within : 0);
    list.add(Math.min(bytes, length - list.length), hole, hole);
  };
  let page = first;
  while (page < end && list.extents.length < MAX_RUNS) {
    const data = table.nextPresent(page, end);
    if (data > page) add(data - page, page, true);
    page = table.nextAbsent(data, end);
    if (page > data) add(page - data, data, false);
  }
  return list.extents;
}
