import { type Patience, retrying } from '../block/retrying.ts';
import { sleep } from '../block/sleep.ts';
import { HttpError } from './errors.ts';

/** Half a minute in all. */
export const PATIENCE = { retries: 8, delay: 100, growth: 2 } as const;

export interface Trying {
  readonly signal?: AbortSignal | undefined;
  /** Whether it may go better the next time. */
  mayPass?(error: unknown): boolean;
  recover?(error: unknown): Promise<void>;
}

/** Acts, and again after a while if that may help. */
export async function tryAgain<T>(
  patience: Patience,
  act: () => Promise<T>,
  { signal, mayPass = isTransient, recover }: Trying,
): Promise<T> {
  let failure: unknown;
  return await retrying('GET', patience, act, {
    signal,
    isFinal: error => {
      failure = error;
      return !mayPass(error);
    },
    recover: async () => {
      if (failure instanceof HttpError) await sleep(failure.retryAfter, signal);
      await recover?.(failure);
    },
  });
}

export const isTransient = (error: unknown) => error instanceof HttpError && error.transient;
