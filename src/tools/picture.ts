import { BASE_ALLOCATION } from '../protocol/constants.ts';
import { type Range, smaller } from './range.ts';
import type { Run, Runs, Total } from './status-map.ts';

/** How many cells a picture has. */
export interface Grid {
  readonly columns: number;
  readonly rows: number;
}

/** A cell: as large a share of the disk as every other. */
export interface Cell extends Range {
  /** The bytes of each status in it. */
  readonly bytes: ReadonlyMap<bigint, bigint>;
  /** The status of most of it. */
  readonly type: bigint;
  /** How much of it is marked: data, or what a context has flags for; 0 to 1. */
  readonly marked: number;
}

export interface Picture extends Range {
  readonly context: string;
  readonly columns: number;
  readonly cells: readonly Cell[];
  readonly totals: readonly Total[];
}

/** Whether a picture is about this status: data, and what is dirty or has a depth. */
export function isMarked(context: string, type: bigint): boolean {
  return context === BASE_ALLOCATION ? (type & 3n) === 0n : type !== 0n;
}

/** Draws a map of a range into cells, of which none is smaller than a byte. */
export async function pictureOf(
  map: Runs,
  context: string,
  range: Range,
  { columns, rows }: Grid,
): Promise<Picture> {
  const cells = new Cells(range, columns * rows);
  for await (const runs of map) for (const run of runs) cells.add(run);
  return { ...range, context, columns, ...cells.drawn(context) };
}

class Cells {
  readonly #from: bigint;
  readonly #size: bigint;
  readonly #count: bigint;
  readonly #bytes: Map<bigint, bigint>[];

  constructor({ from, to }: Range, most: number) {
    this.#from = from;
    this.#size = to - from;
    this.#count = smaller(this.#size, BigInt(most));
    this.#bytes = Array.from({ length: Number(this.#count) }, () => new Map());
  }

  /** Where a cell begins, from the beginning of the range on. */
  #start(index: bigint): bigint {
    return (index * this.#size) / this.#count;
  }

  add({ offset, length, type }: Run): void {
    const end = offset - this.#from + length;
    let at = offset - this.#from;
    let index = (at * this.#count) / this.#size;
    if (this.#start(index + 1n) <= at) index += 1n;
    for (; at < end; index += 1n) {
      const border = this.#start(index + 1n);
      const part = smaller(border, end) - at;
      const bytes = this.#bytes[Number(index)]!;
      bytes.set(type, (bytes.get(type) ?? 0n) + part);
      at += part;
    }
  }

  drawn(context: string): { cells: Cell[]; totals: Total[] } {
    const totals = new Map<bigint, bigint>();
    const cells = this.#bytes.map((bytes, index): Cell => {
      let marked = 0n;
      let type: bigint | undefined;
      for (const [each, size] of bytes) {
        totals.set(each, (totals.get(each) ?? 0n) + size);
        if (isMarked(context, each)) marked += size;
        if (type === undefined || size > bytes.get(type)!) type = each;
      }
      const from = this.#start(BigInt(index));
      const to = this.#start(BigInt(index + 1));
      const share = Number(marked) / Number(to - from);
      return {
        from: this.#from + from,
        to: this.#from + to,
        bytes,
        type: type ?? 0n,
        marked: share,
      };
    });
    const list = [...totals].map(([type, size]) => ({ type, size }));
    return { cells, totals: list.sort((a, b) => (a.type < b.type ? -1 : 1)) };
  }
}
