/** What is found while an image is looked through. */
export class Findings {
  readonly lines: string[] = [];
  corruptions = 0;
  leaks = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  errors = 0;

  /** Of the corruptions and leaks, those of counters that are wrong. */
  inCounters = 0;
  #leaksOfCounters = 0;

  /** A counter is wrong. */
  counter(line: string, isLeak: boolean): void {
    this.lines.push(line);
    this.inCounters += 1;
    if (isLeak) {
      this.leaks += 1;
      this.#leaksOfCounters += 1;
    } else this.corruptions += 1;
  }

  /** Counters are going to be looked at again. */
  again(): void {
    this.leaks -= this.#leaksOfCounters;
    this.corruptions -= this.inCounters - this.#leaksOfCounters;
    this.inCounters = 0;
    this.#leaksOfCounters = 0;
  }

  /** Data may be wrong, or may become so. */
  corrupt(line: string): void {
    this.lines.push(line);
    this.corruptions += 1;
  }
}
