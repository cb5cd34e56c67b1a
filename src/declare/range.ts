import { MAX_SIZE } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import type { Range } from '../block/ranges.ts';
import { parseSize } from '../block/size.ts';

/**
 * The bytes of `START-END`, both of them included, from the first on where there is no START and to
 * the last of any disk where there is no END. Numbers are as in C, or with a suffix as sizes.
 * @throws UsageError
 */
export function parseRange(text: string): Range {
  const match = /^([^-]*)-([^-]*)$/.exec(text);
  if (!match) throw new UsageError(`cannot parse range, missing '-': ${text}: expected START-END`);
  const start = match[1] === '' ? 0n : parsePlace(match[1]!);
  const last = match[2] === '' ? MAX_SIZE - 1n : parsePlace(match[2]!);
  if (last < start) throw new UsageError(`invalid range, end < start: ${text}`);
  return { start, end: last + 1n };
}

/** A place on a disk in bytes: hexadecimal (0x first), octal (0 first) or as a size. @throws UsageError */
export function parsePlace(text: string): bigint {
  if (!/^0(?:x[\da-f]+|[0-7]+)$/i.test(text)) return parseSize(text);
  const place = BigInt(text.replace(/^0(?=\d)/, '0o'));
  if (place > MAX_SIZE) throw new UsageError(`cannot parse '${text}': larger than 2^63-1`);
  return place;
}
