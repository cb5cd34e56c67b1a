import { contiguous, isKnownZero, viewsOf } from '../block/data.ts';
import type { Data } from '../block/device.ts';

/** Shorter views are cheaper to copy together than to write alone, in bytes. */
const SHORT = 32 << 10;

/**
 * The same bytes in views of whole blocks, but for the last, which may end inside one: views that are
 * known zeroes or long stay what they are, all between them is copied together.
 * @param data begins at a multiple of `block`, which is in bytes.
 */
export function* gather(data: Data, block: number): Generator<Uint8Array, void, void> {
  let pending: Uint8Array[] = [];
  let length = 0;
  const take = (view: Uint8Array) => {
    if (view.length === 0) return;
    pending.push(view);
    length += view.length;
  };
  for (let view of viewsOf(data)) {
    const missing = (block - (length % block)) % block;
    const whole = view.length - ((view.length - missing) % block);
    if (whole > missing && (view.length >= SHORT || isKnownZero(view))) {
      take(view.subarray(0, missing));
      if (length > 0) yield contiguous(pending);
      yield view.subarray(missing, whole);
      pending = [];
      length = 0;
      view = view.subarray(whole);
    }
    take(view);
  }
  if (length > 0) yield contiguous(pending);
}
