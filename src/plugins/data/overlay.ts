import { viewsOf } from '../../block/data.ts';
import type { BlockDevice, Data, Extent, WriteBuffer } from '../../block/device.ts';
import { ExtentList } from '../../block/extents.ts';
import { PageTable } from '../../stores/page-table.ts';
import { PAGE, pagesOf } from '../../stores/pages.ts';
import type { Contents } from './contents.ts';

/** A store in memory, which answers at once. */
interface Store {
  read(offset: bigint, length: number): Data;
  write(offset: bigint, data: Uint8Array): void;
  writeBuffer?(offset: bigint, length: number): WriteBuffer | undefined;
  trim(offset: bigint, length: number): void;
  extents(offset: bigint, length: number): Extent[];
}

const MAX_RUNS = 4096;

/**
 * A disk with contents that do not change, until it is written: from then on the pages of 32 KiB
 * that were touched live in a store, which is empty at first and as large.
 */
export function overlayDevice(below: Contents, top: BlockDevice): BlockDevice {
  const store = top as unknown as Store;
  const overlay = new Overlay(below, store);
  const clear = (offset: bigint, length: number) => {
    overlay.claim(offset, length);
    store.trim(offset, length);
  };
  return {
    size: below.size,
    multiConn: true,
    fua: 'native',
    fastZero: 'native',
    read: (offset, length) => overlay.read(offset, length),
    write: (offset, data) => {
      overlay.claim(offset, data.length);
      store.write(offset, data);
    },
    ...(store.writeBuffer && {
      writeBuffer: (offset, length) =>
        overlay.isAbove(offset, length) ? store.writeBuffer!(offset, length) : undefined,
    }),
    flush: () => {},
    trim: clear,
    zero: clear,
    cache: () => {},
    extents: (offset, length) => overlay.extents(offset, length),
  };
}

/** Which pages the store has, and both layers as one. */
class Overlay {
  readonly #below: Contents;
  readonly #store: Store;
  readonly #touched = new PageTable<true>();

  constructor(below: Contents, store: Store) {
    this.#below = below;
    this.#store = store;
  }

  /** Whether the store has all pages of the range. */
  isAbove(offset: bigint, length: number): boolean {
    const { first, end } = pagesOf(offset, length);
    return this.#touched.nextAbsent(first, end) === end;
  }

  /** Takes a range over into the store: only pages that it covers in part are copied. */
  claim(offset: bigint, length: number): void {
    const { first, within, end } = pagesOf(offset, length);
    if (within > 0) this.#bringUp(first);
    const last = offset + BigInt(length);
    if (last % BigInt(PAGE) !== 0n && last !== this.#below.size) this.#bringUp(end - 1);
    for (let page = this.#touched.nextAbsent(first, end); page < end; ) {
      this.#touched.set(page, true);
      page = this.#touched.nextAbsent(page + 1, end);
    }
  }

  read(offset: bigint, length: number): Data {
    const views: Uint8Array[] = [];
    this.#split(offset, length, (layer, at, run) => {
      for (const view of viewsOf(layer.read(at, run))) views.push(view);
      return true;
    });
    return views.length === 1 ? views[0]! : views;
  }

  extents(offset: bigint, length: number): Extent[] {
    const list = new ExtentList();
    this.#split(offset, length, (layer, at, run) => {
      const end = list.length + run;
      for (const part of layer.extents(at, run)) list.add(part.length, part.hole, part.zero);
      return list.length === end && list.extents.length < MAX_RUNS;
    });
    return list.extents;
  }

  #bringUp(page: number): void {
    if (this.#touched.get(page)) return;
    const offset = BigInt(page) * BigInt(PAGE);
    const length = Math.min(PAGE, Number(this.#below.size - offset));
    let at = offset;
    for (const view of viewsOf(this.#below.read(offset, length))) {
      this.#store.write(at, view);
      at += BigInt(view.length);
    }
    this.#touched.set(page, true);
  }

  /** Calls with the parts of a range, and who has them, until it is told `false`. */
  #split(
    offset: bigint,
    length: number,
    visit: (layer: Contents | Store, at: bigint, run: number) => boolean,
  ): void {
    const { first, within, end } = pagesOf(offset, length);
    let start = within;
    let done = 0;
    for (let page = first; done < length; start = 0) {
      const present = this.#touched.nextPresent(page, end);
      const next = present > page ? present : this.#touched.nextAbsent(page, end);
      const run = Math.min(length - done, (next - page) * PAGE - start);
      const layer = present === page ? this.#store : this.#below;
      if (!visit(layer, offset + BigInt(done), run)) return;
      done += run;
      page = next;
    }
  }
}
