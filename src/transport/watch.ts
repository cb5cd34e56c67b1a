/** How long to look for something before going back to the event loop, in ms. */
const LONGEST = 0.05;
const SHORTEST = 0.002;
/** What comes so soon after giving up, through the event loop, would have been worth more time. */
const NARROW = 0.1;

/**
 * Looks again and again, for some microseconds, for what is about to come: a peer that works at the
 * same time on another processor is met without the cost of going to sleep and being woken. The
 * time halves whenever it was in vain; it is the longest again when that was a mistake.
 */
export class Watch {
  readonly #longest: number;
  #time: number;
  #gaveUp = 0;

  /** @param longest in ms. */
  constructor(longest = LONGEST) {
    this.#longest = longest;
    this.#time = longest;
  }

  /** @returns what `look` found: a number from 0 on; -1 when the time was over. */
  watch(look: () => number): number {
    const end = performance.now() + this.#time;
    for (;;) {
      const found = look();
      if (found >= 0) return found;
      const now = performance.now();
      if (now < end) continue;
      this.#gaveUp = now;
      this.#time = Math.max(SHORTEST, this.#time / 2);
      return -1;
    }
  }

  /** What was looked for has come through the event loop. */
  came(): void {
    if (performance.now() - this.#gaveUp < NARROW) this.#time = this.#longest;
  }
}
