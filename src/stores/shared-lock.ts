import { existsSync } from 'node:fs';
import { libcFunction } from '../posix/libc.ts';

/** After so long a wait it is worth a look whether the owner still lives, in ms. */
const LOOK_EVERY = 100;

const FREE = 0;

const gettid = libcFunction('int gettid()');
let own: number | undefined;
/** The system's number of this thread. */
const thisThread = () => (own ??= gettid()?.() ?? 1);

/** Lets one thread of this process at a time do what takes some milliseconds at most. */
export class SharedLock {
  /** The system's number of the thread that has the lock. Give it to another `new SharedLock`. */
  readonly word: Int32Array<SharedArrayBuffer>;

  constructor(word = new Int32Array(new SharedArrayBuffer(4))) {
    this.word = word;
  }

  run(task: () => void): void {
    const me = thisThread();
    while (Atomics.compareExchange(this.word, 0, FREE, me) !== FREE) {
      const owner = Atomics.load(this.word, 0);
      if (owner === FREE) continue;
      const late = Atomics.wait(this.word, 0, owner, LOOK_EVERY) === 'timed-out';
      if (late && isGone(owner) && Atomics.compareExchange(this.word, 0, owner, me) === owner)
        break;
    }
    try {
      task();
    } finally {
      Atomics.compareExchange(this.word, 0, me, FREE);
      Atomics.notify(this.word, 0, 1);
    }
  }
}

/** A thread that has died within its task will not release the lock; one that is stopped will. */
function isGone(thread: number): boolean {
  return !existsSync(`/proc/self/task/${thread}`);
}
