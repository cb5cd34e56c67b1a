import { isPromise } from './answer.ts';
import type { Call } from './around.ts';
import { errnoOf } from './errors.ts';
import { sleep } from './sleep.ts';

/** How often something that fails is tried again. */
export interface Patience {
  /** At most so many times. */
  readonly retries: number;
  /** How long to wait before the first of them, in ms. */
  readonly delay: number;
  /** What the delay is multiplied by each time. */
  readonly growth: number;
  /** Told of each failure and each wait. */
  debug(message: string): void;
}

export interface Retrying {
  /** Nobody waits for it any more. */
  readonly signal?: AbortSignal | undefined;
  /** Comes before each new attempt; when it fails, so has the attempt. */
  recover?(): Promise<void>;
  /** Whether an error is there to stay. */
  isFinal?(error: unknown): boolean;
}

/** Acts, and again when that fails. @throws the last error; the signal's reason. */
export function retrying<T>(
  what: string,
  patience: Patience,
  act: () => T | PromiseLike<T>,
  options: Retrying = {},
): T | PromiseLike<T> {
  const again = (error: unknown) => actAgain(what, patience, act, options, error);
  try {
    const answer = act();
    return isPromise(answer) ? answer.then(undefined, again) : answer;
  } catch (error) {
    return again(error);
  }
}

async function actAgain<T>(
  what: string,
  { retries, delay, growth, debug }: Patience,
  act: () => T | PromiseLike<T>,
  { signal, recover, isFinal }: Retrying,
  first: unknown,
): Promise<T> {
  let failure = first;
  let wait = delay;
  for (let retry = 1; retry <= retries; retry++) {
    if (signal?.aborted || isFinal?.(failure)) throw failure;
    debug(`${what} failed: original errno = ${errnoOf(failure)}`);
    debug(`retry ${retry}: waiting ${wait / 1000} seconds before retrying`);
    await sleep(wait, signal);
    wait *= growth;
    try {
      await recover?.();
      return await act();
    } catch (error) {
      failure = error;
    }
  }
  debug(`could not recover after ${retries} retries`);
  throw failure;
}

/** Whether a call only wanted to know if it would be quick. */
export function isTooSlow({ options }: Call, error: unknown): boolean {
  return options?.fastZero === true && errnoOf(error) === 'ENOTSUP';
}
