import type { Data } from '../block/device.ts';
import type { Chunk } from './work-queue.ts';

/** Is told of each chunk of a copy, which waits for it and fails when it does. */
export interface CopyObserver {
  /** What was read; without data, zeroes. It is taken before an answer. */
  seen?(chunk: Chunk, data: Data | undefined): Promise<void>;
  /** The chunk is at the destination. */
  written?(chunk: Chunk): void | Promise<void>;
}

/** Lets an observer see what is about to be written; `written` comes when that has been. */
export function observing(
  observer: CopyObserver | undefined,
  chunk: Chunk,
  data: Data | undefined,
): (() => Promise<void>) | undefined {
  if (!observer) return undefined;
  const seen = observer.seen?.(chunk, data);
  // It is awaited once nothing uses the memory any more.
  seen?.catch(() => {});
  return async () => {
    await seen;
    await observer.written?.(chunk);
  };
}
