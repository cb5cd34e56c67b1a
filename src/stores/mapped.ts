import { LARGE_PAGE, Mapping, type Place } from '../posix/mapping.ts';
import { Bitmap } from './bitmap.ts';
import { PAGE, type Pages } from './pages.ts';
import { SharedLock } from './shared-lock.ts';

/** Pages of the store in a large page of the processor. */
const CHUNK = LARGE_PAGE / PAGE;

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
  readonly #present: Bitmap;
  /** Absent pages that were present: a write that was under way may have left something there. */
  readonly #trimmed: Bitmap;
  readonly #lock: SharedLock;

  private constructor(mapping: Mapping, present: Bitmap, trimmed: Bitmap, lock: SharedLock) {
    this.#mapping = mapping;
    this.#present = present;
    this.#trimmed = trimmed;
    this.#lock = lock;
  }

  /** @returns undefined where there is no such memory. */
  static create(size: number): MappedPages | undefined {
    const length = Math.ceil(size / LARGE_PAGE) * LARGE_PAGE;
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

  get portable(): MappedPlace {
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
    if (this.#trimmed.nextPresent(first, end) < end) {
      this.#mapping.discard(first * PAGE, (end - first) * PAGE);
      this.#trimmed.clear(first, end);
    }
    this.#enlarge(first, end);
    this.#present.set(first, end);
  }

  /**
   * Large pages are for data that goes on from one to the next; a disk that is written here and there
   * would take 2 MiB for every 32 KiB.
   */
  #enlarge(first: number, end: number): void {
    for (let chunk = Math.ceil(first / CHUNK) * CHUNK; chunk < end; chunk += CHUNK) {
      const before = Math.max(0, chunk - 1);
      const goesOn = chunk > first || this.nextPresent(before, chunk) < chunk;
      const untouched = this.nextPresent(chunk, chunk + CHUNK) === chunk + CHUNK;
      if (goesOn && untouched) this.#mapping.prefer('large', chunk * PAGE, LARGE_PAGE);
    }
  }

  view(page: number, start: number, length: number): Buffer {
    return this.#mapping.view(page * PAGE + start, length);
  }

  release(first: number, end: number): void {
    const start = Math.ceil(first / CHUNK) * CHUNK;
    const stop = Math.floor(end / CHUNK) * CHUNK;
    this.#lock.run(() => {
      for (let page = first; page < end; ) {
        const present = this.nextPresent(page, end);
        page = this.nextAbsent(present, end);
        if (present < page) this.#end(present, page);
      }
      if (start < stop) this.#mapping.prefer('small', start * PAGE, (stop - start) * PAGE);
    });
  }

  /** Makes present pages absent. */
  #end(first: number, end: number): void {
    this.#present.clear(first, end);
    this.#trimmed.set(first, end);
    this.#mapping.discard(first * PAGE, (end - first) * PAGE);
  }
}
