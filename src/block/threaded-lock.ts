/// <reference lib="es2024.sharedmemory" />
import { abortable } from './abortable.ts';
import { andThen } from './answer.ts';
import { RangeLock, type Release } from './range-lock.ts';

/** Words of the shared memory: how many have the disk (or ALONE), and how many want it alone. */
const [HELD, WANTED] = [0, 1];
const ALONE = -1;
/** How often it is looked at what a thread may have left without a word, in ms. */
const LOOK_EVERY = 100;

/**
 * Locks as those of RangeLock, for a disk that several threads write. Those who want a range alone
 * keep the other threads from the whole disk for that time: it is for what is rare, such as a write
 * of a part of a block.
 */
export class ThreadedLock {
  /** To be given to the locks of other threads. */
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #ranges = new RangeLock();

  constructor(words = new Int32Array(new SharedArrayBuffer(8))) {
    this.words = words;
  }

  shared(offset: bigint, length: number, signal?: AbortSignal): Release | Promise<Release> {
    return this.#enterWith(this.#ranges.shared(offset, length, signal), false, signal);
  }

  exclusive(offset: bigint, length: number, signal?: AbortSignal): Release | Promise<Release> {
    return this.#enterWith(this.#ranges.exclusive(offset, length, signal), true, signal);
  }

  #enterWith(range: Release | Promise<Release>, alone: boolean, signal: AbortSignal | undefined) {
    return andThen(range, (leaveRange): Release | Promise<Release> => {
      let held = true;
      const leave = () => {
        if (!held) return;
        held = false;
        Atomics.sub(this.words, HELD, alone ? ALONE : 1);
        Atomics.notify(this.words, HELD);
        leaveRange();
      };
      if (this.#enter(alone)) return leave;
      return this.#wait(alone, signal).then(
        () => leave,
        error => {
          leaveRange();
          throw error;
        },
      );
    }) as Release | Promise<Release>;
  }

  #enter(alone: boolean): boolean {
    for (;;) {
      const held = Atomics.load(this.words, HELD);
      const free = alone ? held === 0 : held >= 0 && Atomics.load(this.words, WANTED) === 0;
      if (!free) return false;
      const next = alone ? ALONE : held + 1;
      if (Atomics.compareExchange(this.words, HELD, held, next) === held) return true;
    }
  }

  async #wait(alone: boolean, signal: AbortSignal | undefined): Promise<void> {
    const wanted = alone ? 1 : 0;
    Atomics.add(this.words, WANTED, wanted);
    try {
      do {
        await this.#change(signal);
      } while (!this.#enter(alone));
    } finally {
      Atomics.sub(this.words, WANTED, wanted);
      Atomics.notify(this.words, HELD);
    }
  }

  /** Until something has changed, or may have. @throws the signal's reason */
  #change(signal: AbortSignal | undefined): Promise<void> {
    const { value } = Atomics.waitAsync(this.words, HELD, Atomics.load(this.words, HELD));
    return abortable(signal, resolve => {
      // It also keeps the thread alive, which waiting for memory does not.
      const timer = setTimeout(resolve, LOOK_EVERY);
      const stop = () => clearTimeout(timer);
      void Promise.resolve(value)
        .then(stop)
        .then(() => resolve());
      return stop;
    });
  }
}
