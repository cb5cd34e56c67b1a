import { viewsOf } from '../../block/data.ts';
import type { BlockDevice, Data, Extent } from '../../block/device.ts';
import { ExtentList } from '../../block/extents.ts';
import { PageTable } from '../../stores/page-table.ts';
import { PAGE, pagesOf } from '../../stores/pages.ts';
import type { Contents } from './contents.ts';

/** A store in memory, which answers at once. */
interface Store {
  read(offset: bigint, length: number): Data;
  write(offset: bigint, data: Uint8Array): void;
  landing?(offset: bigint, length: number): Data;
  trim(offset: bigint, length: number): void;
  extents(offset: bigint, length: number): Extent[];
}

const MAX_RUNS = 4096;

/**
 * A disk with contents that do not change, until it is written: from then on the pages of 32 KiB
 * that were touched live in a store, which is empty at first and as large.
 */
export function overlayDevice(below: Contents, top: BlockDevice): BlockDevice {
  const { size } = below;
  const store = top as unknown as Store;
  const touched = new PageTable<true>();

  /** Calls with the parts of a range: where, how long, and whether the store has them. */
  const split = (
    offset: bigint,
    length: number,
    visit: (at: bigint, run: number, above: boolean) => boolean,
  ) => {
    const { first, within, end } = pagesOf(offset, length);
    let start = within;
    let done = 0;
    for (let page = first; done < length; start = 0) {
      const present = touched.nextPresent(page, end);
      const next = present > page ? present : touched.nextAbsent(page, end);
      const run = Math.min(length - done, (next - page) * PAGE - start);
      if (!visit(offset + BigInt(done), run, present === page)) return;
      done += run;
      page = next;
    }
  };

  /** Brings a page up, unless it is there. */
  const touch = (page: number) => {
    if (touched.get(page)) return;
    const offset = BigInt(page) * BigInt(PAGE);
    const rest = size - offset;
    const length = Math.min(PAGE, Number(rest));
    let at = offset;
    for (const view of viewsOf(below.read(offset, length))) {
      store.write(at, view);
      at += BigInt(view.length);
    }
    touched.set(page, true);
  };

  /** Takes a range over into the store: only pages that it covers in part are copied. */
  const claim = (offset: bigint, length: number) => {
    const { first, within, end } = pagesOf(offset, length);
    if (within > 0) touch(first);
    const last = offset + BigInt(length);
    if (last % BigInt(PAGE) !== 0n && last !== size) touch(end - 1);
    for (let page = touched.nextAbsent(first, end); page < end; ) {
      touched.set(page, true);
      page = touched.nextAbsent(page + 1, end);
    }
  };

  const clear = (offset: bigint, length: number) => {
    claim(offset, length);
    store.trim(offset, length);
  };

  return {
    size,
    multiConn: true,
    fua: true,
    fastZero: true,
    read: (offset, length) => {
      const views: Uint8Array[] = [];
      split(offset, length, (at, run, above) => {
        const data = above ? store.read(at, run) : below.read(at, run);
        for (const view of viewsOf(data)) views.push(view);
        return true;
      });
      return views.length === 1 ? views[0]! : views;
    },
    write: (offset, data) => {
      claim(offset, data.length);
      store.write(offset, data);
    },
    ...(store.landing && {
      landing: (offset, length) => {
        const { first, end } = pagesOf(offset, length);
        return touched.nextAbsent(first, end) < end ? undefined : store.landing!(offset, length);
      },
    }),
    flush: () => {},
    trim: clear,
    zero: clear,
    cache: () => {},
    extents: (offset, length) => {
      const list = new ExtentList();
      split(offset, length, (at, run, above) => {
        const runs = (above ? store : below).extents(at, run);
        for (const { length: part, hole, zero } of runs) list.add(part, hole, zero);
        const complete = runs.reduce((sum, part) => sum + part.length, 0) === run;
        return complete && list.extents.length < MAX_RUNS;
      });
      return list.extents;
    },
  };
}
