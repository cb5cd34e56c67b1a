/** Whoever holds a lock for so long has died, in ms. */
const PATIENCE = 5000;

const FREE = 0;
const HELD = 1;

/** Lets one thread at a time do what takes some milliseconds at most. */
export class SharedLock {
  /** Give it to another thread's `new SharedLock`. */
  readonly word: Int32Array<SharedArrayBuffer>;

  constructor(word = new Int32Array(new SharedArrayBuffer(4))) {
    this.word = word;
  }

  run(task: () => void): void {
    while (Atomics.compareExchange(this.word, 0, FREE, HELD) !== FREE) {
      if (Atomics.wait(this.word, 0, HELD, PATIENCE) === 'timed-out') break;
    }
    try {
      task();
    } finally {
      Atomics.store(this.word, 0, FREE);
      Atomics.notify(this.word, 0, 1);
    }
  }
}
