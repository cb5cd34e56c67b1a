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
  /** Pages that are not 0 all over; those of one state are the same for all. */
  readonly #pages = new PageTable<Uint8Array>();
  /** Numbers of pages that were changed since they were saved; undefined where nobody saves. */
  readonly #changed: Set<number> | undefined;

  /** @param saved what is changed is remembered for `takeChanged`. */
  constructor(saved = false) {
    this.#changed = saved ? new Set() : undefined;
  }

  get(block: number): number {
    return this.#pages.get(Math.floor(block / PAGE))?.[block % PAGE] ?? 0;
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
    for (let block = first; block < end; ) {
      const number = Math.floor(block / PAGE);
      const start = number * PAGE;
      const stop = Math.min(end, start + PAGE);
      this.#changed?.add(number);
      if (stop - block === PAGE) this.#fill(number, state);
      else this.#own(number).fill(state, block - start, stop - start);
      block = stop;
    }
  }

  /**
   * Puts states that were saved in their place, whole pages of them.
   * @returns false, and then some are missing, when one is larger than `most`.
   */
  load(first: number, bytes: Uint8Array, most: number): boolean {
    for (let at = 0; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE);
      if (page.some(state => state > most)) return false;
      if (page.some(state => state !== 0)) this.#pages.set(first + at / PAGE, page.slice());
    }
    return true;
  }

  /** The pages that were changed since they were taken last, as they are now. */
  takeChanged(): StatePage[] {
    const changed = [...(this.#changed ?? [])];
    this.#changed?.clear();
    return changed.map(page => ({
      page,
      bytes: this.#pages.get(page)?.slice() ?? new Uint8Array(PAGE),
    }));
  }

  /** Those could not be saved. */
  giveBackChanged(pages: readonly StatePage[]): void {
    for (const { page } of pages) this.#changed?.add(page);
  }

  #seek(from: number, end: number, wanted: (state: number) => boolean): number {
    const zeroWanted = wanted(0);
    for (let at = from; at < end; ) {
      const number = Math.floor(at / PAGE);
      const page = this.#pages.get(number);
      if (page) {
        const found = this.#search(page, at % PAGE, wanted);
        if (found >= 0) return Math.min(end, number * PAGE + found);
        at = (number + 1) * PAGE;
      } else if (zeroWanted) return at;
      else at = this.#pages.nextPresent(number, Math.ceil(end / PAGE)) * PAGE;
    }
    return end;
  }

  #search(page: Uint8Array, from: number, wanted: (state: number) => boolean): number {
    if (page === UNIFORM[page[0]!]) return wanted(page[0]!) ? from : -1;
    for (let at = from; at < PAGE; at++) if (wanted(page[at]!)) return at;
    return -1;
  }

  #fill(number: number, state: number): void {
    if (state === 0) this.#pages.delete(number, number + 1);
    else this.#pages.set(number, uniform(state));
  }

  /** A page to be changed. */
  #own(number: number): Uint8Array {
    const page = this.#pages.get(number);
    if (page && page !== UNIFORM[page[0]!]) return page;
    const own = page ? page.slice() : new Uint8Array(PAGE);
    this.#pages.set(number, own);
    return own;
  }
}

/** Pages of one state, which nobody changes. */
const UNIFORM: Uint8Array[] = [];

function uniform(state: number): Uint8Array {
  UNIFORM[state] ??= new Uint8Array(PAGE).fill(state);
  return UNIFORM[state]!;
}
