import { abortable } from './abortable.ts';
import { ending } from './answer.ts';

interface Waiting {
  readonly places: number;
  readonly begin: () => void;
}

/** Lets a number of calls be under way at once; the others wait, first come first served. */
export class Turns {
  /** Most calls at once. */
  readonly limit: number;
  #taken = 0;
  readonly #queue = new Set<Waiting>();

  /** @param limit at least 1. */
  constructor(limit = Number.MAX_SAFE_INTEGER) {
    this.limit = limit;
  }

  /** Acts when it is its turn: at once where there is room. */
  run<T>(act: () => T | PromiseLike<T>, signal?: AbortSignal): T | PromiseLike<T> {
    return this.#run(act, 1, signal);
  }

  /** Acts when all before are done; those who come later wait for it. */
  alone<T>(act: () => T | PromiseLike<T>, signal?: AbortSignal): T | PromiseLike<T> {
    return this.#run(act, this.limit, signal);
  }

  /** Takes a place as soon as there is one; what is answered gives it back. */
  enter(signal?: AbortSignal): Promise<() => void> {
    return new Promise((entered, reject) => {
      const stay = () => new Promise<void>(entered);
      Promise.resolve(this.run(stay, signal)).catch(reject);
    });
  }

  /** Waits until all before are done, and lets nobody act until what is answered is called. */
  enterAlone(): Promise<() => void> {
    return new Promise(entered => {
      void this.alone(() => new Promise<void>(entered));
    });
  }

  #run<T>(
    act: () => T | PromiseLike<T>,
    places: number,
    signal: AbortSignal | undefined,
  ): T | PromiseLike<T> {
    const leave = () => {
      this.#taken -= places;
      this.#next();
    };
    if (this.#queue.size === 0 && this.#taken + places <= this.limit) {
      this.#taken += places;
      return ending(act, leave);
    }
    return abortable<void>(signal, resolve => {
      const waiting = { places, begin: resolve };
      this.#queue.add(waiting);
      return () => {
        this.#queue.delete(waiting);
        this.#next();
      };
    }).then(() => ending(act, leave));
  }

  #next(): void {
    for (const waiting of this.#queue) {
      if (this.#taken + waiting.places > this.limit) return;
      this.#queue.delete(waiting);
      this.#taken += waiting.places;
      waiting.begin();
    }
  }
}
