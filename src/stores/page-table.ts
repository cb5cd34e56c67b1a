/** Entries of one leaf. */
const FANOUT = 1024;

interface Leaf<E> {
  readonly entries: (E | undefined)[];
  used: number;
}

/**
 * A sparse array from page numbers (0 to 2^53-1) to entries: leaves of 1024 pages and a sorted list
 * of the leaves there are, so that what is absent costs neither memory nor time.
 */
export class PageTable<E> {
  readonly #numbers: number[] = [];
  readonly #leaves: Leaf<E>[] = [];
  /** Where the leaf used last stands in the lists. */
  #last = 0;

  get(page: number): E | undefined {
    const number = Math.floor(page / FANOUT);
    const at = this.#seek(number);
    return this.#numbers[at] === number ? this.#leaves[at]!.entries[page % FANOUT] : undefined;
  }

  set(page: number, entry: E): void {
    const number = Math.floor(page / FANOUT);
    const at = this.#seek(number);
    if (this.#numbers[at] !== number) {
      this.#numbers.splice(at, 0, number);
      this.#leaves.splice(at, 0, { entries: Array(FANOUT).fill(undefined), used: 0 });
    }
    const leaf = this.#leaves[at]!;
    if (leaf.entries[page % FANOUT] === undefined) leaf.used += 1;
    leaf.entries[page % FANOUT] = entry;
  }

  /** Forgets the entries of the pages from `start` to before `end`. */
  delete(start: number, end: number): void {
    const first = this.#seek(Math.floor(start / FANOUT));
    let kept = first;
    let at = first;
    for (; at < this.#numbers.length && this.#numbers[at]! * FANOUT < end; at++) {
      const leaf = this.#leaves[at]!;
      this.#empty(leaf, start - this.#numbers[at]! * FANOUT, end - this.#numbers[at]! * FANOUT);
      if (leaf.used === 0) continue;
      this.#numbers[kept] = this.#numbers[at]!;
      this.#leaves[kept] = leaf;
      kept += 1;
    }
    if (kept === at) return;
    this.#numbers.splice(kept, at - kept);
    this.#leaves.splice(kept, at - kept);
  }

  /** The first page from `page` on that has an entry; `end` when there is none before it. */
  nextPresent(page: number, end: number): number {
    for (let at = this.#seek(Math.floor(page / FANOUT)); at < this.#numbers.length; at++) {
      const base = this.#numbers[at]! * FANOUT;
      if (base >= end) break;
      const { entries, used } = this.#leaves[at]!;
      let index = Math.max(0, page - base);
      while (used < FANOUT && index < FANOUT && entries[index] === undefined) index += 1;
      if (index < FANOUT) return Math.min(end, base + index);
    }
    return end;
  }

  /** The first page from `page` on that has no entry; `end` when there is none before it. */
  nextAbsent(page: number, end: number): number {
    let next = page;
    for (let at = this.#seek(Math.floor(page / FANOUT)); next < end; at++) {
      const base = Math.floor(next / FANOUT) * FANOUT;
      if (this.#numbers[at] !== base / FANOUT) break;
      const { entries, used } = this.#leaves[at]!;
      let index = used === FANOUT ? FANOUT : next - base;
      while (index < FANOUT && entries[index] !== undefined) index += 1;
      next = base + index;
      if (index < FANOUT) break;
    }
    return Math.min(next, end);
  }

  #empty(leaf: Leaf<E>, start: number, end: number): void {
    const { entries } = leaf;
    if (start <= 0 && end >= FANOUT) {
      leaf.used = 0;
      return;
    }
    for (let index = Math.max(0, start); index < Math.min(FANOUT, end); index++) {
      if (entries[index] === undefined) continue;
      entries[index] = undefined;
      leaf.used -= 1;
    }
  }

  /** Where the leaf of that number stands, or would. */
  #seek(number: number): number {
    const numbers = this.#numbers;
    if (numbers[this.#last] === number) return this.#last;
    let low = 0;
    let high = numbers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (numbers[middle]! < number) low = middle + 1;
      else high = middle;
    }
    this.#last = low;
    return low;
  }
}
