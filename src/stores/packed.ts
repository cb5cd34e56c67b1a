import { zeroes } from '../block/data.ts';
import type { BlockDevice, Data } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { loadZstd } from '../posix/zstd.ts';
import { PageTable } from './page-table.ts';
import { PAGE, pagesOf, tableExtents } from './pages.ts';

/**
 * A sparse disk in memory whose pages of 32 KiB are compressed with Zstandard one by one.
 * @throws UsageError where neither Node nor the system has a Zstandard library.
 */
export function packedStore(size: bigint): BlockDevice {
  const zstd = loadZstd();
  if (!zstd) {
    throw new UsageError('allocator: zstd needs Node 22.15 or newer, or the library libzstd.so.1');
  }
  const table = new PageTable<Uint8Array>();

  const load = (page: number): Buffer | undefined => {
    const packed = table.get(page);
    return packed && zstd.decompress(packed, PAGE);
  };

  /** Calls with the part of each page that the range covers: page, start in it, length. */
  const each = (
    offset: bigint,
    length: number,
    visit: (page: number, start: number, run: number) => void,
  ) => {
    const { first, within, end } = pagesOf(offset, length);
    let start = within;
    let left = length;
    for (let page = first; page < end; page++, start = 0) {
      const run = Math.min(left, PAGE - start);
      visit(page, start, run);
      left -= run;
    }
  };

  const put = (page: number, start: number, part: Uint8Array) => {
    if (part.length === PAGE) {
      table.set(page, zstd.compress(part));
      return;
    }
    const bytes = load(page) ?? Buffer.alloc(PAGE);
    bytes.set(part, start);
    table.set(page, zstd.compress(bytes));
  };

  const clear = (offset: bigint, length: number) => {
    const { first, within, end } = pagesOf(offset, length);
    const last = first + Math.floor((within + length) / PAGE);
    if (within > 0 || last === first) {
      const run = Math.min(length, PAGE - within);
      if (table.get(first)) put(first, within, Buffer.alloc(run));
    }
    const whole = within > 0 ? first + 1 : first;
    if (whole < last) table.delete(whole, last);
    if (last > first && last < end && table.get(last)) {
      put(last, 0, Buffer.alloc((within + length) % PAGE));
    }
  };

  return {
    size,
    multiConn: true,
    fua: 'native',
    fastZero: 'native',
    read: (offset, length): Data => {
      const views: Uint8Array[] = [];
      each(offset, length, (page, start, run) => {
        views.push(load(page)?.subarray(start, start + run) ?? (zeroes(run) as Uint8Array));
      });
      return views;
    },
    write: (offset, data) => {
      let at = 0;
      each(offset, data.length, (page, start, run) => {
        put(page, start, data.subarray(at, at + run));
        at += run;
      });
    },
    flush: () => {},
    trim: clear,
    zero: clear,
    cache: () => {},
    extents: (offset, length) => tableExtents(table, offset, length),
  };
}
