import { BlockError } from '../block/errors.ts';
import { CallError } from './errors.ts';

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
 * @throws BlockError ETIMEDOUT; CallError options that are none; the reason of the caller's signal; what
 * the work throws.
 */
export function within<T>(
  options: CallOptions,
  work: (signal: AbortSignal | undefined) => T | PromiseLike<T>,
): T | PromiseLike<T> {
  checkOptions(options);
  const { signal, timeout } = options;
  signal?.throwIfAborted();
  return timeout === undefined ? work(signal) : inTime(signal, timeout, work);
}

/** @throws CallError */
export function checkOptions(options: CallOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new CallError(`options: expected an object, not ${String(options)}`);
  }
  const { signal, timeout } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new CallError('signal: expected an AbortSignal');
  }
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0)) {
    throw new CallError(`timeout: expected milliseconds, not ${String(timeout)}`);
  }
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
