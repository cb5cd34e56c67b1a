import { isPromise } from '../block/answer.ts';

/**
 * The reads of a file that are under way. What is freed is nobody else's as long as one of them may
 * still be reading there.
 */
export class ReadsUnderWay {
  readonly #tickets = new Set<number>();
  #next = 0;

  /** Counts a read until it is answered, from where it looks for the place on. */
  during<T>(answer: T | PromiseLike<T>): T | PromiseLike<T> {
    if (!isPromise(answer)) return answer;
    const ticket = this.#next++;
    this.#tickets.add(ticket);
    return answer.then(
      value => {
        this.#tickets.delete(ticket);
        return value;
      },
      error => {
        this.#tickets.delete(ticket);
        throw error;
      },
    );
  }

  /** Stands for the reads that have begun until now. */
  get moment(): number {
    return this.#next;
  }

  /** Whether all that had begun at a moment are over. */
  areOver(moment: number): boolean {
    if (this.#tickets.size === 0) return true;
    const [oldest] = this.#tickets;
    return oldest! >= moment;
  }
}

/** What nothing leads to any more, as long as it may be read. */
export class Leaving<T> {
  readonly #reads: ReadsUnderWay;
  readonly #waiting: { readonly moment: number; readonly what: T[] }[] = [];

  constructor(reads: ReadsUnderWay) {
    this.#reads = reads;
  }

  /** To be called as soon as no new read finds its way there. */
  add(what: T[]): void {
    if (what.length > 0) this.#waiting.push({ moment: this.#reads.moment, what });
  }

  /** What is left, one after the other. */
  next(): T | undefined {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      if (!this.#reads.areOver(first.moment)) return undefined;
      const next = first.what.pop();
      if (next !== undefined) return next;
      this.#waiting.shift();
    }
    return undefined;
  }
}
