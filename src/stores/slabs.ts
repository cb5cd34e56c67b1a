import { BlockError } from '../block/errors.ts';
import { Arena } from './arena.ts';
import { PageTable } from './page-table.ts';
import { PAGE, type Pages } from './pages.ts';

/** Most pages in one piece of memory. */
const SLAB_PAGES = 32;

/** Neighbouring pages, from page `first` on, in one piece of memory. */
interface Slab {
  readonly bytes: Buffer;
  readonly first: number;
}

/** Pages of a disk of any size, found by number, in memory of this thread. They never move. */
export class Slabs implements Pages {
  readonly #table = new PageTable<Slab>();
  readonly #arena = new Arena();

  nextPresent(page: number, end: number): number {
    return this.#table.nextPresent(page, end);
  }

  nextAbsent(page: number, end: number): number {
    return this.#table.nextAbsent(page, end);
  }

  provide(first: number, end: number): void {
    const table = this.#table;
    let page = table.nextAbsent(first, end);
    while (page < end) {
      const absent = table.nextPresent(page, Math.min(end, page + SLAB_PAGES));
      const slab = { bytes: this.#allocate((absent - page) * PAGE), first: page };
      while (page < absent) table.set(page++, slab);
      page = table.nextAbsent(absent, end);
    }
  }

  view(page: number, start: number, length: number): Buffer {
    const slab = this.#table.get(page)!;
    let together = PAGE - start;
    for (let next = page + 1; together < length && this.#table.get(next) === slab; next++) {
      together += PAGE;
    }
    const at = (page - slab.first) * PAGE + start;
    return slab.bytes.subarray(at, at + Math.min(length, together));
  }

  release(first: number, end: number): void {
    const table = this.#table;
    for (let page = table.nextPresent(first, end); page < end; ) {
      const view = this.view(page, 0, (end - page) * PAGE);
      this.#arena.release(view);
      page = table.nextPresent(page + view.length / PAGE, end);
    }
    table.delete(first, end);
  }

  #allocate(length: number): Buffer {
    try {
      return this.#arena.allocate(length);
    } catch (cause) {
      throw new BlockError('ENOMEM', 'no memory for another page', { cause });
    }
  }
}
