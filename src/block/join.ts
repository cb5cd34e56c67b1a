import { viewsOf } from './data.ts';
import type { BlockDevice, Data, Extent, ReadOptions } from './device.ts';
import { extentsOf, zeroRange } from './emulate.ts';
import { ExtentList } from './extents.ts';

/** A part of a request: the device it goes to, where in that device, and how many bytes. */
interface Part {
  readonly device: BlockDevice;
  readonly offset: bigint;
  readonly length: number;
}

/** Devices in a row, and which of them a request goes to. */
class Row {
  readonly size: bigint;
  readonly #devices: readonly BlockDevice[];
  readonly #ends: readonly bigint[];

  /** @param devices none of them empty. */
  constructor(devices: readonly BlockDevice[]) {
    this.#devices = devices;
    let size = 0n;
    this.#ends = devices.map(device => {
      size += device.size;
      return size;
    });
    this.size = size;
  }

  cut(offset: bigint, length: number): Part[] {
    const found: Part[] = [];
    let at = offset;
    for (let index = indexAfter(this.#ends, offset), left = length; left > 0; index++) {
      const device = this.#devices[index]!;
      const room = this.#ends[index]! - at;
      const run = room < left ? Number(room) : left;
      found.push({ device, offset: device.size - room, length: run });
      at += BigInt(run);
      left -= run;
    }
    return found;
  }

  /** Acts on each part in turn; `start` is where in the request it begins. */
  async each(
    offset: bigint,
    length: number,
    act: (part: Part, start: number) => void | PromiseLike<void>,
  ): Promise<void> {
    let start = 0;
    for (const part of this.cut(offset, length)) {
      await act(part, start);
      start += part.length;
    }
  }

  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const [first, ...others] = this.cut(offset, length);
    if (others.length === 0) return first!.device.read(first!.offset, length, options);
    return Promise.all(
      [first!, ...others].map(async part =>
        viewsOf(await part.device.read(part.offset, part.length)),
      ),
    ).then(lists => lists.flat());
  }

  async extents(offset: bigint, length: number): Promise<Extent[]> {
    const list = new ExtentList();
    for (const part of this.cut(offset, length)) {
      const extents = await extentsOf(part.device, part.offset, part.length);
      if (!addExtents(list, part.length, extents)) break;
    }
    return list.extents;
  }
}

/**
 * Devices one after the other as one device. It can be written when all of them can; closing it
 * closes them. A request that crosses from one to the next is cut there.
 */
export function joinDevices(devices: readonly BlockDevice[]): BlockDevice {
  const parts = devices.filter(({ size }) => size > 0n);
  const row = new Row(parts);
  const every = (has: (device: BlockDevice) => unknown) => parts.every(part => Boolean(has(part)));
  const writable = every(part => part.write);
  return {
    size: row.size,
    multiConn: every(part => part.multiConn),
    rotational: parts.some(part => part.rotational),
    fua: writable && every(part => part.fua === 'native') ? 'native' : undefined,
    fastZero: writable && every(part => part.fastZero === 'native') ? 'native' : undefined,
    read: (offset, length, options) => row.read(offset, length, options),
    ...(writable && writing(row, parts)),
    cache: (offset, length) =>
      row.each(offset, length, part => part.device.cache?.(part.offset, part.length)),
    extents: (offset, length) => row.extents(offset, length),
    close: async () => {
      const results = await Promise.allSettled(devices.map(async device => device.close?.()));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    },
  };
}

function writing(row: Row, parts: readonly BlockDevice[]) {
  return {
    write: (offset, data, options) =>
      row.each(offset, data.length, ({ device, ...part }, start) =>
        device.write!(part.offset, data.subarray(start, start + part.length), options),
      ),
    writeBuffer: (offset, length) => {
      const [first, ...others] = row.cut(offset, length);
      return others.length > 0 ? undefined : first!.device.writeBuffer?.(first!.offset, length);
    },
    zero: (offset, length, options) =>
      row.each(offset, length, part => zeroRange(part.device, part.offset, part.length, options)),
    trim: (offset, length, options) =>
      row.each(offset, length, part => part.device.trim?.(part.offset, part.length, options)),
    flush: async () => {
      for (const part of parts) await part.flush?.();
    },
  } satisfies Partial<BlockDevice>;
}

/** Adds the runs of a part, cut to it; whether they cover it all. */
function addExtents(list: ExtentList, length: number, extents: readonly Extent[]): boolean {
  const end = list.length + length;
  for (const extent of extents) {
    list.add(Math.min(extent.length, end - list.length), extent.hole, extent.zero);
  }
  return list.length === end;
}

/** The index of the first part that ends after an offset. */
function indexAfter(ends: readonly bigint[], offset: bigint): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
