import { PageTable } from './page-table.ts';

/** Blocks of which the states lie together. */
export const PAGE = 4096;

/** The states of 4096 blocks, by the number of their page. */
export interface StatePage {
  readonly page: number;
  readonly bytes: Uint8Array;
}

/**
 * A small number for each block of a disk, 0 unless set. Takes memory only where there are runs of
 * less than 4096 blocks of one state.
 */
export class BlockStates {
  /** Pages with several states. */
  readonly #pages = new PageTable<Uint8Array>();
  /** Of all other pages. */
  readonly #runs = new PageRuns();
  /** Numbers of pages that were changed since they were saved; undefined where nobody saves. */
  readonly #changed: Set<number> | undefined;

  /** @param saved what is changed is remembered for `takeChanged`. */
  constructor(saved = false) {
    this.#changed = saved ? new Set() : undefined;
  }

  get(block: number): number {
    const number = Math.floor(block / PAGE);
    return this.#pages.get(number)?.[block % PAGE] ?? this.#runs.get(number);
  }

  /** Where the run of blocks ends that have the state of this one; `end` at most. */
  runEnd(block: number, end: number): number {
    const state = this.get(block);
    return this.#seek(block, end, each => each !== state);
  }

  /** The first block from this one on whose state is looked for; `end` when there is none before it. */
  find(block: number, end: number, wanted: (state: number) => boolean): number {
    return wanted(this.get(block)) ? block : this.#seek(block, end, wanted);
  }

  /** Sets the blocks from `first` to before `end`. */
  set(first: number, end: number, state: number): void {
    const from = Math.ceil(first / PAGE);
    const to = Math.floor(end / PAGE);
    if (from < to) {
      this.#pages.delete(from, to);
      this.#runs.set(from, to, state);
      this.#noteChanged(from, to);
    }
    this.#setPart(from - 1, first, Math.min(from * PAGE, end), state);
    this.#setPart(to, Math.max(to * PAGE, from * PAGE), end, state);
  }

  #noteChanged(first: number, end: number): void {
    if (!this.#changed) return;
    for (let page = first; page < end; page++) this.#changed.add(page);
  }

  /** Blocks of one page. */
  #setPart(number: number, first: number, end: number, state: number): void {
    if (first >= end) return;
    this.#noteChanged(number, number + 1);
    this.#own(number).fill(state, first - number * PAGE, end - number * PAGE);
  }

  /**
   * Puts states that were saved in their place, whole pages of them.
   * @returns false, and then some are missing, when one is larger than `most`.
   */
  load(first: number, bytes: Uint8Array, most: number): boolean {
    for (let at = 0; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE);
      if (page.some(state => state > most)) return false;
      if (page.some(state => state !== 0)) this.#own(first + at / PAGE).set(page);
    }
    return true;
  }

  /** The pages that were changed since they were taken last, as they are now. */
  takeChanged(): StatePage[] {
    const changed = [...(this.#changed ?? [])];
    this.#changed?.clear();
    return changed.map(page => ({
      page,
      bytes: this.#copy(page),
    }));
  }

  /** Those could not be saved. */
  giveBackChanged(pages: readonly StatePage[]): void {
    for (const { page } of pages) this.#changed?.add(page);
  }

  #seek(from: number, end: number, wanted: (state: number) => boolean): number {
    const pages = Math.ceil(end / PAGE);
    for (let at = from; at < end; ) {
      const number = Math.floor(at / PAGE);
      const page = this.#pages.get(number);
      if (page) {
        const found = search(page, at % PAGE, wanted);
        if (found >= 0) return Math.min(end, number * PAGE + found);
        at = (number + 1) * PAGE;
      } else if (wanted(this.#runs.get(number))) return at;
      else at = this.#pages.nextPresent(number, this.#runs.runEnd(number, pages)) * PAGE;
    }
    return end;
  }

  #copy(number: number): Uint8Array {
    return this.#pages.get(number)?.slice() ?? new Uint8Array(PAGE).fill(this.#runs.get(number));
  }

  /** A page to be changed. */
  #own(number: number): Uint8Array {
    const page = this.#pages.get(number) ?? this.#copy(number);
    this.#pages.set(number, page);
    return page;
  }
}

function search(page: Uint8Array, from: number, wanted: (state: number) => boolean): number {
  for (let at = from; at < PAGE; at++) if (wanted(page[at]!)) return at;
  return -1;
}

/** The states of pages that have one each, 0 unless set: as many runs as there are changes of it. */
class PageRuns {
  /** Where each run begins; it ends where the next one does. */
  readonly #starts = [0];
  readonly #states = [0];

  get(page: number): number {
    return this.#states[this.#find(page)]!;
  }

  /** Where the run of a page ends; `end` at most. */
  runEnd(page: number, end: number): number {
    return Math.min(end, this.#starts[this.#find(page) + 1] ?? end);
  }

  /** Sets the pages from `first` to before `end`. */
  set(first: number, end: number, state: number): void {
    const after = this.get(end);
    const at = first === 0 ? 0 : this.#find(first - 1) + 1;
    const gone = this.#find(end) + 1 - at;
    const own = this.#states[at - 1] === state ? [] : [first];
    const rest = after === state ? [] : [end];
    this.#starts.splice(at, gone, ...own, ...rest);
    this.#states.splice(at, gone, ...own.map(() => state), ...rest.map(() => after));
  }

  /** The number of the run that a page is in. */
  #find(page: number): number {
    let low = 0;
    for (let high = this.#starts.length - 1; low < high; ) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= page) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
