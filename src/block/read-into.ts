import { andThen } from './answer.ts';
import { viewsOf } from './data.ts';
import type { BlockDevice, Data, RequestOptions } from './device.ts';

/**
 * Fills memory of the caller's own with the bytes from `offset` on, and copies only what the device
 * did not put there by itself.
 * @param target at least 1 byte.
 */
export function readInto(
  device: Pick<BlockDevice, 'read'>,
  offset: bigint,
  target: Uint8Array,
  options?: RequestOptions,
): void | PromiseLike<void> {
  const memory = (length: number) => target.subarray(0, length);
  const answer = device.read(offset, target.length, { signal: options?.signal, memory });
  return andThen(answer, data => gather(data, target));
}

/** Copies bytes to a place where some of them may already be. */
function gather(data: Data, target: Uint8Array): void {
  let at = 0;
  const moves: [bytes: Uint8Array, to: number][] = [];
  for (const view of viewsOf(data)) {
    const shares = view.buffer === target.buffer;
    if (!shares) moves.push([view, at]);
    // What lies elsewhere in the target might be covered before its turn.
    else if (view.byteOffset !== target.byteOffset + at) moves.push([Buffer.from(view), at]);
    at += view.length;
  }
  for (const [bytes, to] of moves) target.set(bytes, to);
}
