/** How long to look for something before going back to the event loop, in ms. */
const LONGEST = 0.05;
const SHORTEST = 0.002;

/**
 * Looks again and again, for some microseconds, for what is about to come: a peer that works at the
 * same time on another processor is met without the cost of going to sleep and being woken. The
 * time halves whenever it was in vain and doubles when it was not.
 */
export class Watch {
  #time = LONGEST;

  /** @returns what `look` found: a number from 0 on; -1 when the time was over. */
  watch(look: () => number): number {
    const end = performance.now() + this.#time;
    do {
      const found = look();
      if (found >= 0) {
        this.#time = Math.min(LONGEST, this.#time * 2);
        return found;
      }
    } while (performance.now() < end);
    this.#time = Math.max(SHORTEST, this.#time / 2);
    return -1;
  }
}
