/** The turn of one of several that go on side by side, and begin in order. */
export interface Turn {
  /** All before have begun. */
  readonly come: Promise<void>;
  /** Lets the next one begin; may be called more than once. */
  readonly begun: () => void;
}

/** Gives turns in the order in which they are asked for. */
export class InTurn {
  #before: Promise<void> = Promise.resolve();

  next(): Turn {
    const come = this.#before;
    const { promise, resolve } = withResolvers();
    this.#before = promise;
    return { come, begun: resolve };
  }
}

function withResolvers() {
  let resolve!: () => void;
  const promise = new Promise<void>(settle => {
    resolve = settle;
  });
  return { promise, resolve };
}
