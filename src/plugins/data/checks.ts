import { MAX_SIZE } from '../../block/device.ts';
import { faultAt, type Place } from './source.ts';
import type { SliceNode } from './syntax.ts';

/** The size itself. @throws UsageError when no disk can be so large. */
export function checkedSize(size: bigint, place: Place): bigint {
  if (size > MAX_SIZE) throw faultAt(place, 'the disk would be larger than 2^63-1 bytes');
  return size;
}

/**
 * Where a slice of an expression of `size` bytes ends. Empty slices may lie anywhere.
 * @throws UsageError when it takes more than there is.
 */
export function endOfSlice(slice: SliceNode, size: bigint): bigint {
  const { start, end = size, place } = slice;
  if (start === end) return end;
  if (start > size || end > size) {
    throw faultAt(place, `the slice reaches past the end: the expression has ${size} bytes`);
  }
  return end;
}
