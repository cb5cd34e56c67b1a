import { abortable } from './abortable.ts';
import type { RequestOptions } from './device.ts';

/**
 * Work that is done once for all who want it meanwhile. It is itself the options for the requests
 * of the work, whose signal is aborted when everybody who waited has given up.
 */
export class Flight<T> implements RequestOptions {
  readonly #abandoned: () => void;
  #controller: AbortController | undefined;
  #work: Promise<T> | undefined;
  #waiting = 0;

  /** @param abandoned called when everybody has given up. */
  constructor(abandoned: () => void) {
    this.#abandoned = abandoned;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Takes what will be the answer for all; before the first one joins. */
  fly(work: PromiseLike<T>): void {
    this.#work = Promise.resolve(work);
  }

  /** Waits for the answer, for as long as one's own signal says. */
  join(signal?: AbortSignal): Promise<T> {
    this.#waiting += 1;
    return abortable(signal, (resolve, reject) => {
      this.#work!.then(resolve, reject);
      return () => {
        this.#waiting -= 1;
        if (this.#waiting === 0) this.#abandon(signal!.reason);
      };
    });
  }

  #abandon(reason: unknown): void {
    this.#abandoned();
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }
}
