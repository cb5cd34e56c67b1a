import { libcFunction } from './libc.ts';

/** What the system may be told about memory; undefined where it knows no such advice. */
export const madvise = libcFunction('int madvise(uintptr_t address, size_t length, int advice)');

/** It is given back, and reads as zeroes. */
export const DONTNEED = 4;
/** Large pages are better, or small ones. */
export const HUGEPAGE = 14;
export const NOHUGEPAGE = 15;

/** Size of the pages that the processors of today have beside small ones, in bytes. */
export const LARGE_PAGE = 1 << 21;
