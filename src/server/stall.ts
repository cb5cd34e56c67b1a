/** How long answers may wait before a client counts as slow to take them, in ms. */
const MOMENT = 2;

/**
 * Whether a client lets its answers wait. Most take them sooner: until a moment has passed, each of
 * their next requests would only wake this thread.
 */
export class Stall {
  /** Answers have waited for longer than that. */
  isLong = false;
  readonly #timer: NodeJS.Timeout;

  /** @param waiting whether answers wait. @param long is called when they have for a moment. */
  constructor(waiting: () => boolean, long: () => void) {
    this.#timer = setTimeout(() => {
      if (!waiting()) return;
      this.isLong = true;
      long();
    }, MOMENT).unref();
  }

  /** Answers wait, since now. */
  begin(): void {
    this.#timer.refresh();
  }

  /** None waits any more. */
  over(): void {
    this.isLong = false;
  }

  /** There will be no more. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
