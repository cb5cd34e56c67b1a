import { sleep } from '../../block/sleep.ts';

/** Lets bits through at a rate, and more at once for a while after they were few. */
export class Bucket {
  /** Bits a second; 0 for no limit. */
  #rate: number;
  /** For how many seconds at the rate there is room. */
  readonly #burst: number;
  /** Bits that may go at once; negative for those that are still waited for. */
  #level: number;
  #last = performance.now();

  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = burst;
    this.#level = rate * burst;
  }

  get rate(): number {
    return this.#rate;
  }

  set rate(rate: number) {
    this.#fill();
    this.#rate = rate;
    this.#level = Math.min(this.#level, rate * this.#burst);
  }

  /** Waits until so many bits may go. */
  take(bits: number, signal?: AbortSignal): void | Promise<void> {
    if (this.#rate === 0) return;
    this.#fill();
    this.#level -= bits;
    if (this.#level >= 0) return;
    return sleep((-this.#level / this.#rate) * 1000, signal).catch(error => {
      this.#level += bits;
      throw error;
    });
  }

  #fill(): void {
    const now = performance.now();
    const gained = ((now - this.#last) / 1000) * this.#rate;
    this.#level = Math.min(this.#level + gained, this.#rate * this.#burst);
    this.#last = now;
  }
}
