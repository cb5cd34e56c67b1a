import { setImmediate } from 'node:timers';

/** The turn of one of several that go on side by side, and begin in order. */
export interface Turn {
  /** All before have begun. */
  readonly come: Promise<void>;
  /** Lets the next one begin; may be called more than once. */
  readonly begun: () => void;
}

/**
 * Gives turns in the order in which they are asked for. The next one comes when what this one could
 * do at once has been done: nobody overtakes it on a shorter way.
 */
export class InTurn {
  #before: Promise<void> = Promise.resolve();

  next(): Turn {
    const come = this.#before;
    let resolve: () => void;
    this.#before = new Promise(settle => {
      resolve = settle;
    });
    return { come, begun: () => void setImmediate(resolve) };
  }
}
