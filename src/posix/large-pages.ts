import { addressOf, libcFunction } from './libc.ts';

const MADV_DONTNEED = 4;
const MADV_HUGEPAGE = 14;

/** Size of the pages that the processors of today have beside small ones, in bytes. */
const LARGE = 1 << 21;
/** What memory is given back in, in bytes. */
const SMALL = 1 << 12;

const madvise = libcFunction('int madvise(uintptr_t address, size_t length, int advice)');

/**
 * Zeroed memory that begins at a large page and that the system backs by such pages where it can:
 * one fault at the first touch instead of 512. It takes space only where it is touched.
 * @returns undefined where the system knows no such advice.
 * @throws RangeError when there is no memory.
 */
export function largePages(length: number): Buffer | undefined {
  const call = madvise();
  if (!call) return undefined;
  const bytes = Buffer.alloc(length + LARGE);
  const address = addressOf(bytes);
  const start = Number(-address & BigInt(LARGE - 1));
  call(address + BigInt(start), length - (length % LARGE), MADV_HUGEPAGE);
  return bytes.subarray(start, start + length);
}

/** Gives the whole small pages in a part of such memory back to the system: they read as zeroes. */
export function discardPages(bytes: Uint8Array): void {
  const address = addressOf(bytes);
  const start = Number(-address & BigInt(SMALL - 1));
  const length = Math.floor((bytes.length - start) / SMALL) * SMALL;
  if (length > 0) madvise()?.(address + BigInt(start), length, MADV_DONTNEED);
}
