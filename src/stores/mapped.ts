import { LARGE_PAGE } from '../posix/madvise.ts';
import { Mapping, type Place } from '../posix/mapping.ts';
import { Bitmap } from './bitmap.ts';
import { PAGE, type Pages } from './pages.ts';
import { SharedLock } from './shared-lock.ts';

/** Pages of the disk in a large page of the processor. */
const CHUNK = LARGE_PAGE / PAGE;
/** Most parts of a disk with pages of their own kind: a process may have 65,530 areas of memory. */
const MOST_PARTS = 1 << 15;
/** Pages that are trimmed at once, at least one part: other threads wait meanwhile. */
const STEP = (64 << 20) / PAGE;
/** A write of so many pages is one of many, wherever it is. */
const BULK = (256 << 10) / PAGE;

/** What a thread finds the pages of another one by. */
export interface MappedPlace {
  readonly place: Place;
  readonly present: Int32Array<SharedArrayBuffer>;
  readonly trimmed: Int32Array<SharedArrayBuffer>;
  readonly lock: Int32Array<SharedArrayBuffer>;
}

/**
 * Pages that lie in memory as on the disk, for every thread: one mapping and a bitmap of what is
 * there. The lock is for what changes the bitmap; most requests find it as they need it.
 */
export class MappedPages implements Pages {
  readonly #mapping: Mapping;
  /** Pages in a part of the disk that has large pages of the processor or small ones. */
  readonly #part: number;
  readonly #present: Bitmap;
  /** Absent pages that were present: a write that was under way may have left something there. */
  readonly #trimmed: Bitmap;
  readonly #lock: SharedLock;

  private constructor(mapping: Mapping, present: Bitmap, trimmed: Bitmap, lock: SharedLock) {
    this.#mapping = mapping;
    this.#part = partOf(mapping.place.length) / PAGE;
    this.#present = present;
    this.#trimmed = trimmed;
    this.#lock = lock;
  }

  /** @returns undefined where there is no such memory. */
  static create(size: number): MappedPages | undefined {
    const part = partOf(size);
    const length = Math.ceil(size / part) * part;
    const mapping = Mapping.create(length);
    if (!mapping) return undefined;
    const bits = () => new Bitmap(length / PAGE);
    return new MappedPages(mapping, bits(), bits(), new SharedLock());
  }

  /** The pages that are in use in another thread, for as long as they are there. */
  static at({ place, present, trimmed, lock }: MappedPlace): MappedPages {
    const mapping = new Mapping(place);
    return new MappedPages(mapping, new Bitmap(present), new Bitmap(trimmed), new SharedLock(lock));
  }

  get place(): MappedPlace {
    return {
      place: this.#mapping.place,
      present: this.#present.words,
      trimmed: this.#trimmed.words,
      lock: this.#lock.word,
    };
  }

  nextPresent(page: number, end: number): number {
    return this.#present.nextPresent(page, end);
  }

  nextAbsent(page: number, end: number): number {
    return this.#present.nextAbsent(page, end);
  }

  provide(first: number, end: number): void {
    if (this.nextAbsent(first, end) === end) return;
    this.#lock.run(() => {
      for (let page = first; page < end; ) {
        const absent = this.nextAbsent(page, end);
        page = this.nextPresent(absent, end);
        if (absent < page) this.#begin(absent, page);
      }
    });
  }

  /** Makes absent pages present. */
  #begin(first: number, end: number): void {
    this.#enlarge(first, end);
    this.#clean(first, end);
    this.#present.set(first, end);
  }

  /**
   * Large pages are for data that goes on from one to the next; a disk that is written here and there
   * would take 2 MiB for every 32 KiB.
   */
  #enlarge(first: number, end: number): void {
    const part = this.#part;
    for (let start = Math.ceil(first / part) * part; start < end; start += part) {
      const before = Math.max(0, start - 1);
      const follows = start > first || this.nextPresent(before, start) < start;
      const untouched = this.nextPresent(start, start + part) === start + part;
      if (!untouched || !(follows || end - first >= BULK)) continue;
      // They stay marked as trimmed: what is under way may still leave something there.
      this.#discardTrimmed(start, start + part);
      this.#mapping.prefer('large', start * PAGE, part * PAGE);
    }
  }

  /** Zeroes absent pages that become present now. */
  #clean(first: number, end: number): void {
    if (this.#discardTrimmed(first, end)) this.#trimmed.clear(first, end);
  }

  /** Zeroes absent pages where something may have been left; whether there was any such page. */
  #discardTrimmed(first: number, end: number): boolean {
    if (this.#trimmed.nextPresent(first, end) === end) return false;
    this.#mapping.discard(first * PAGE, (end - first) * PAGE);
    return true;
  }

  view(page: number, start: number, length: number): Buffer {
    return this.#mapping.view(page * PAGE + start, length);
  }

  release(first: number, end: number): void {
    let page = this.nextPresent(first, end);
    while (page < end) {
      const step = Math.floor(page / STEP) * STEP;
      const stop = Math.min(end, step + STEP);
      this.#lock.run(() => this.#end(Math.max(first, step), stop));
      page = this.nextPresent(stop, end);
    }
  }

  /** Makes pages absent. */
  #end(first: number, end: number): void {
    for (let page = first; page < end; ) {
      const present = this.nextPresent(page, end);
      page = this.nextAbsent(present, end);
      this.#present.clear(present, page);
      this.#trimmed.set(present, page);
    }
    this.#giveBack(first, end);
  }

  /** Gives back the memory of absent pages, and what else the large pages hold that they lie in. */
  #giveBack(first: number, end: number): void {
    const head = Math.floor(first / CHUNK) * CHUNK;
    const from = this.nextPresent(head, first) < first ? first : head;
    const tail = Math.ceil(end / CHUNK) * CHUNK;
    const to = this.nextPresent(end, tail) < tail ? end : tail;
    this.#mapping.discard(from * PAGE, (to - from) * PAGE);
    const start = Math.ceil(from / this.#part) * this.#part;
    const stop = Math.floor(to / this.#part) * this.#part;
    if (start < stop) this.#mapping.prefer('small', start * PAGE, (stop - start) * PAGE);
  }
}

/** Bytes of a part of a disk of `size` bytes: one large page, or as many as keep the parts few. */
function partOf(size: number): number {
  return LARGE_PAGE * 2 ** Math.max(0, Math.ceil(Math.log2(size / MOST_PARTS / LARGE_PAGE)));
}
