import { BlockError } from '../block/errors.ts';

/** Longest time that Node can set a timer to, in ms. */
const LONGEST = 2 ** 31 - 1;

/** How long a call may take, and who may give it up. */
export interface CallOptions {
  /** Gives it up, with the signal's reason; whether it was done is not known then. */
  readonly signal?: AbortSignal | undefined;
  /** In ms; then it fails with ETIMEDOUT, and whether it was done is not known. */
  readonly timeout?: number | undefined;
}

/**
 * Does work with a signal that is aborted by the caller's own, or when the time is over.
 * @throws BlockError ETIMEDOUT; the reason of the caller's signal; what the work throws.
 */
export function within<T>(
  options: CallOptions,
  work: (signal: AbortSignal | undefined) => T | PromiseLike<T>,
): T | PromiseLike<T> {
  const { signal, timeout } = options;
  signal?.throwIfAborted();
  return timeout === undefined ? work(signal) : inTime(signal, timeout, work);
}

async function inTime<T>(
  signal: AbortSignal | undefined,
  timeout: number,
  work: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T> {
  const deadline = new AbortController();
  const late = () => deadline.abort(new BlockError('ETIMEDOUT', `no answer within ${timeout} ms`));
  const timer = setTimeout(late, Math.min(Math.max(timeout, 0), LONGEST));
  try {
    return await work(signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal);
  } finally {
    clearTimeout(timer);
  }
}
