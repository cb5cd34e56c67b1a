import { viewsOf, zeroes } from '../block/data.ts';
import type { BlockDevice, Data } from '../block/device.ts';
import { inPlace } from '../block/write-buffer.ts';
import { PAGE, type Pages, type Presence, pagesOf, tableExtents, wholePages } from './pages.ts';
import { Slabs } from './slabs.ts';

const NO_PAGES: Presence = { nextPresent: (_page, end) => end, nextAbsent: page => page };

/**
 * A disk of zeroes in memory that takes space only where it was written: pages of 32 KiB. Reads and
 * write buffers are views of them, so that nothing is copied.
 * @param begin makes the pages, at the first write.
 * @param present those of a disk that is there already.
 */
export function sparseStore(
  size: bigint,
  begin: () => Pages = () => new Slabs(),
  present?: Pages,
): BlockDevice {
  let pages = present;

  /** Calls with each view of present pages, and with the length of each hole. */
  const walk = (
    offset: bigint,
    length: number,
    data: (view: Buffer) => void,
    hole: (length: number) => void = () => {},
  ) => {
    if (!pages) return hole(length);
    const { first, within, end } = pagesOf(offset, length);
    for (let done = 0; done < length; ) {
      const page = first + Math.floor((within + done) / PAGE);
      const start = (within + done) % PAGE;
      const next = pages.nextPresent(page, end);
      if (next === page) {
        // Another thread may trim this very page now.
        const together = (pages.nextAbsent(page + 1, end) - page) * PAGE - start;
        const view = pages.view(page, start, Math.min(length - done, together));
        data(view);
        done += view.length;
      } else {
        const run = Math.min(length - done, (next - page) * PAGE - start);
        hole(run);
        done += run;
      }
    }
  };

  const views = (offset: bigint, length: number): Data => {
    const list: Uint8Array[] = [];
    walk(
      offset,
      length,
      view => list.push(view),
      hole => list.push(...viewsOf(zeroes(hole))),
    );
    return list.length === 1 ? list[0]! : list;
  };

  const room = (offset: bigint, length: number): Data => {
    const { first, within, end } = pagesOf(offset, length);
    pages ??= begin();
    pages.provide(first, end);
    // Whether or not another thread trims them now: zeroes that stand for holes are nobody's to fill.
    const list: Uint8Array[] = [];
    for (let done = 0; done < length; done += list.at(-1)!.length) {
      const page = first + Math.floor((within + done) / PAGE);
      list.push(pages.view(page, (within + done) % PAGE, length - done));
    }
    return list.length === 1 ? list[0]! : list;
  };

  const clear = (offset: bigint, length: number) => {
    walk(offset, length, view => view.fill(0));
  };

  const discard = (offset: bigint, length: number) => {
    const [start, stop] = wholePages(offset, length, size);
    if (start >= stop) return clear(offset, length);
    const head = Number(BigInt(start) * BigInt(PAGE) - offset);
    const tail = length - head - (stop - start) * PAGE;
    clear(offset, head);
    if (tail > 0) clear(offset + BigInt(length - tail), tail);
    pages?.release(start, stop);
  };

  return {
    size,
    multiConn: true,
    fua: 'native',
    fastZero: 'native',
    get recipe() {
      return pages?.place ? { by: 'memory', from: { size, pages: pages.place } } : undefined;
    },
    read: views,
    write: (offset, data) => {
      let at = 0;
      for (const view of viewsOf(room(offset, data.length))) {
        view.set(data.subarray(at, at + view.length));
        at += view.length;
      }
    },
    writeBuffer: (offset, length) => inPlace(room(offset, length)),
    flush: () => {},
    trim: discard,
    zero: (offset, length, options) => {
      if (options?.mayTrim) discard(offset, length);
      else clear(offset, length);
    },
    cache: () => {},
    extents: (offset, length) => tableExtents(pages ?? NO_PAGES, offset, length),
  };
}
