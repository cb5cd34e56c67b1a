import type { Extent } from '../block/device.ts';
import { ExtentList } from '../block/extents.ts';

/** Bytes of a page. */
export const PAGE = 32768;
const SHIFT = 15n;
const MASK = 32767n;
const MAX_RUNS = 4096;

/** Which pages of a disk there are. */
export interface Presence {
  /** The first page from `page` on that is there; `end` when there is none before it. */
  nextPresent(page: number, end: number): number;
  /** The first page from `page` on that is not there; `end` when there is none before it. */
  nextAbsent(page: number, end: number): number;
}

/** The memory of a disk's pages. */
export interface Pages extends Presence {
  /** Gives all pages from `first` to before `end` memory, zeroed. @throws BlockError ENOMEM */
  provide(first: number, end: number): void;
  /** The bytes from `start` on in a page that is there, `length` or as many as lie together. */
  view(page: number, start: number, length: number): Buffer;
  /** Those from `first` to before `end` are not needed any more. */
  release(first: number, end: number): void;
  /** What another thread finds them by. */
  readonly place?: unknown;
}

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

/** The pages that lie wholly in a range, or reach from it to the end of the disk; perhaps none. */
export function wholePages(offset: bigint, length: number, size: bigint): [number, number] {
  const end = offset + BigInt(length);
  const stop = end === size ? end + MASK : end;
  return [Number((offset + MASK) >> SHIFT), Number(stop >> SHIFT)];
}

/** Runs of present pages as data and of absent ones as holes. */
export function tableExtents(table: Presence, offset: bigint, length: number): Extent[] {
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
