import { addressOf } from './libc.ts';
import { DONTNEED, HUGEPAGE, LARGE_PAGE, madvise } from './madvise.ts';

/** What memory is given back in, in bytes. */
const SMALL = 1 << 12;

/**
 * Zeroed memory that begins at a large page and that the system backs by such pages where it can:
 * one fault at the first touch instead of 512. It takes space only where it is touched.
 * @returns undefined where the system knows no such advice.
 * @throws RangeError when there is no memory.
 */
export function largePages(length: number): Buffer | undefined {
  const call = madvise();
  if (!call) return undefined;
  const bytes = Buffer.alloc(length + LARGE_PAGE);
  const address = addressOf(bytes);
  const start = Number(-address & BigInt(LARGE_PAGE - 1));
  call(address + BigInt(start), length - (length % LARGE_PAGE), HUGEPAGE);
  return bytes.subarray(start, start + length);
}

/** Gives the whole small pages in a part of such memory back to the system: they read as zeroes. */
export function discardPages(bytes: Uint8Array): void {
  const address = addressOf(bytes);
  const start = Number(-address & BigInt(SMALL - 1));
  const length = Math.floor((bytes.length - start) / SMALL) * SMALL;
  if (length > 0) madvise()?.(address + BigInt(start), length, DONTNEED);
}
