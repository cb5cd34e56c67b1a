import { abortable } from './abortable.ts';
import { andThen, ending } from './answer.ts';

/** Gives a range back; a second call does nothing. */
export type Release = () => void;

/** Acts while a range is held, and gives it back. */
export function holding<T>(
  lock: Release | Promise<Release>,
  act: () => T | PromiseLike<T>,
): T | PromiseLike<T> {
  return andThen(lock, release => ending(act, release));
}

/** A range that somebody has, or waits for until nobody who came before is in its way. */
interface Hold {
  readonly start: bigint;
  readonly end: bigint;
  readonly exclusive: boolean;
  /** Those before that are in the way. */
  blockers: number;
  /** Those behind in whose way this is. */
  followers: Set<Hold> | undefined;
  grant: (() => void) | undefined;
}

/**
 * Locks on ranges of bytes. Those who want ranges that overlap get them in the order in which they
 * came, several at once when all of them share; others do not notice each other.
 */
export class RangeLock {
  /** In the order in which they came. */
  readonly #holds = new Set<Hold>();

  /** For several at once. The answer is there at once when the range is free. */
  shared(offset: bigint, length: number, signal?: AbortSignal): Release | Promise<Release> {
    return this.#take(offset, length, false, signal);
  }

  /** For one alone. The answer is there at once when the range is free. */
  exclusive(offset: bigint, length: number, signal?: AbortSignal): Release | Promise<Release> {
    return this.#take(offset, length, true, signal);
  }

  #take(
    start: bigint,
    length: number,
    exclusive: boolean,
    signal: AbortSignal | undefined,
  ): Release | Promise<Release> {
    const end = start + BigInt(length);
    const hold: Hold = {
      start,
      end,
      exclusive,
      blockers: 0,
      followers: undefined,
      grant: undefined,
    };
    for (const earlier of this.#holds) {
      if (!exclusive && !earlier.exclusive) continue;
      if (earlier.end <= start || end <= earlier.start) continue;
      earlier.followers ??= new Set();
      earlier.followers.add(hold);
      hold.blockers += 1;
    }
    this.#holds.add(hold);
    const release = () => this.#remove(hold);
    if (hold.blockers === 0) return release;
    return abortable(signal, resolve => {
      hold.grant = () => resolve(release);
      return () => {
        for (const { followers } of this.#holds) followers?.delete(hold);
        release();
      };
    });
  }

  #remove(hold: Hold): void {
    if (!this.#holds.delete(hold)) return;
    if (!hold.followers) return;
    for (const follower of hold.followers) {
      follower.blockers -= 1;
      if (follower.blockers === 0) follower.grant!();
    }
  }
}
