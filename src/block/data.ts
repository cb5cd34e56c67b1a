import type { Data } from './device.ts';

const ZEROES = Buffer.from(new ArrayBuffer(1 << 20));

/**
 * Views of a shared buffer of zeroes that add up to `length` bytes. A device that answers a read
 * with them says "known zeroes", which `isKnownZero` sees without looking at the bytes.
 */
export function zeroes(length: number): Data {
  if (length <= ZEROES.length) return ZEROES.subarray(0, length);
  const views: Uint8Array[] = Array(Math.floor(length / ZEROES.length)).fill(ZEROES);
  const rest = length % ZEROES.length;
  if (rest > 0) views.push(ZEROES.subarray(0, rest));
  return views;
}

/** Whether a view was made by `zeroes`. */
export function isKnownZero(view: Uint8Array): boolean {
  return view.buffer === ZEROES.buffer;
}

/** Whether all bytes are zero, at the speed of memcmp. */
export function isZero(view: Uint8Array): boolean {
  if (isKnownZero(view)) return true;
  for (let at = 0; at < view.length; at += ZEROES.length) {
    const end = Math.min(view.length, at + ZEROES.length);
    if (ZEROES.compare(view, at, end, 0, end - at) !== 0) return false;
  }
  return true;
}

/** The bytes as a list of views. */
export function viewsOf(data: Data): readonly Uint8Array[] {
  return data instanceof Uint8Array ? [data] : data;
}

export function byteLength(data: Data): number {
  if (data instanceof Uint8Array) return data.length;
  let length = 0;
  for (const view of data) length += view.length;
  return length;
}

/** The bytes as one view: the same memory when there is only one, else a copy. */
export function contiguous(data: Data): Uint8Array {
  if (data instanceof Uint8Array) return data;
  return data.length === 1 ? data[0]! : Buffer.concat(data);
}

/** The `length` bytes from `start` on, without a copy. */
export function sliceData(data: Data, start: number, length: number): Data {
  if (data instanceof Uint8Array) return data.subarray(start, start + length);
  const views: Uint8Array[] = [];
  let skip = start;
  let left = length;
  for (const view of data) {
    if (left === 0) break;
    if (skip >= view.length) {
      skip -= view.length;
      continue;
    }
    const part = view.subarray(skip, skip + left);
    views.push(part);
    skip = 0;
    left -= part.length;
  }
  return views;
}
