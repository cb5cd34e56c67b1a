import { abortable } from './abortable.ts';

/** The longest that a timer can run, in ms. */
const LONGEST = 2 ** 31 - 1;

/** Waits, unless the signal says that nobody waits any more. @param ms 0 or more. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  for (let left = ms; left > 0; left -= LONGEST) {
    await abortable<void>(signal, resolve => {
      const timer = setTimeout(resolve, Math.min(left, LONGEST));
      return () => clearTimeout(timer);
    });
  }
}
