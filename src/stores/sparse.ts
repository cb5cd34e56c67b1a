import { zeroes } from '../block/data.ts';
import type { BlockDevice, Data } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { Arena } from './arena.ts';
import { PageTable } from './page-table.ts';
import { PAGE, pagesOf, tableExtents } from './pages.ts';

/** Most pages in one piece of memory. */
const SLAB_PAGES = 32;

/** Neighbouring pages, from page `first` on, in one piece of memory. */
interface Slab {
  readonly bytes: Buffer;
  readonly first: number;
}

/**
 * A disk of zeroes in memory that takes space only where it was written: pages of 32 KiB, found by
 * number. Reads and landings are views of its pages, so that nothing is copied; pages never move.
 */
export function sparseStore(size: bigint): BlockDevice {
  const table = new PageTable<Slab>();
  const arena = new Arena();

  /** Gives every page of the range memory. */
  const provide = (offset: bigint, length: number) => {
    const { first, end } = pagesOf(offset, length);
    let page = table.nextAbsent(first, end);
    while (page < end) {
      const absent = table.nextPresent(page, Math.min(end, page + SLAB_PAGES));
      const slab = { bytes: allocate(arena, (absent - page) * PAGE), first: page };
      while (page < absent) table.set(page++, slab);
      page = table.nextAbsent(absent, end);
    }
  };

  /** Calls with each view of present pages, and with the length of each hole. */
  const walk = (
    offset: bigint,
    length: number,
    data: (view: Buffer) => void,
    hole: (length: number) => void = () => {},
  ) => {
    const { first, within, end } = pagesOf(offset, length);
    let page = first;
    let start = within;
    let left = length;
    while (left > 0) {
      const slab = table.get(page);
      let next = page + 1;
      if (slab) while (next < end && table.get(next) === slab) next += 1;
      else next = table.nextPresent(next, end);
      const run = Math.min(left, (next - page) * PAGE - start);
      if (slab) {
        const at = (page - slab.first) * PAGE + start;
        data(slab.bytes.subarray(at, at + run));
      } else {
        hole(run);
      }
      page = next;
      start = 0;
      left -= run;
    }
  };

  const views = (offset: bigint, length: number): Data => {
    const list: Uint8Array[] = [];
    walk(
      offset,
      length,
      view => list.push(view),
      hole => {
        const zero = zeroes(hole);
        if (zero instanceof Uint8Array) list.push(zero);
        else for (const view of zero) list.push(view);
      },
    );
    return list.length === 1 ? list[0]! : list;
  };

  const clear = (offset: bigint, length: number) => {
    walk(offset, length, view => view.fill(0));
  };

  const discard = (offset: bigint, length: number) => {
    const { first, within, end } = pagesOf(offset, length);
    const head = within === 0 ? 0 : Math.min(length, PAGE - within);
    const last = offset + BigInt(length) === size ? 0 : (within + length) % PAGE;
    const tail = end - first === 1 && head > 0 ? 0 : last;
    if (head > 0) clear(offset, head);
    if (tail > 0) clear(offset + BigInt(length - tail), tail);
    const start = first + (head > 0 ? 1 : 0);
    const stop = end - (tail > 0 ? 1 : 0);
    if (start >= stop) return;
    const whole = (stop - start) * PAGE;
    walk(BigInt(start) * BigInt(PAGE), whole, view => arena.release(view));
    table.delete(start, stop);
  };

  return {
    size,
    multiConn: true,
    fua: true,
    fastZero: true,
    read: views,
    write: (offset, data) => {
      provide(offset, data.length);
      let at = 0;
      walk(offset, data.length, view => {
        view.set(data.subarray(at, at + view.length));
        at += view.length;
      });
    },
    landing: (offset, length) => {
      provide(offset, length);
      return views(offset, length);
    },
    flush: () => {},
    trim: discard,
    zero: (offset, length, options) => {
      if (options?.mayTrim) discard(offset, length);
      else clear(offset, length);
    },
    cache: () => {},
    extents: (offset, length) => tableExtents(table, offset, length),
  };
}

function allocate(arena: Arena, length: number): Buffer {
  try {
    return arena.allocate(length);
  } catch (cause) {
    throw new BlockError('ENOMEM', 'no memory for another page', { cause });
  }
}
