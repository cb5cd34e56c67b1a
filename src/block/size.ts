import { MAX_SIZE } from './device.ts';
import { UsageError } from './errors.ts';

const SUFFIXES: Readonly<Record<string, bigint>> = {
  b: 1n,
  s: 512n,
  k: 1n << 10n,
  m: 1n << 20n,
  g: 1n << 30n,
  t: 1n << 40n,
  p: 1n << 50n,
  e: 1n << 60n,
};

const RIGHT = 'expected a number with an optional suffix b, s, k, M, G, T, P or E';

/**
 * A size such as `512`, `64k` or `3s` (sectors of 512 bytes) in bytes, 0 to 2^63-1.
 * @throws UsageError what was wrong and what would be right.
 */
export function parseSize(text: string): bigint {
  const match = /^\s*\+?(\d+)([bskmgtpe])?$/i.exec(text);
  const fail = (why: string) => new UsageError(`cannot parse '${text}': ${why}`);
  if (!match) throw fail(`${RIGHT}${/\d[a-z]*[-+*]/i.test(text) ? ', not an expression' : ''}`);
  const [, digits, suffix = 'b'] = match;
  if (digits!.length > 19) throw fail('too many digits');
  const size = BigInt(digits!) * SUFFIXES[suffix.toLowerCase()]!;
  if (size > MAX_SIZE) throw fail('larger than 2^63-1 bytes');
  return size;
}

/** Refuses what blocks cannot be as long as. @throws UsageError naming the parameter. */
export function needPowerOfTwo(key: string, size: bigint): void {
  if ((size & (size - 1n)) === 0n) return;
  throw new UsageError(`${key}: ${size} is no power of two: expected 4096, 64K or the like`);
}

const LETTERS = 'KMGTPE';

/** The size in the largest unit that gives a whole number: `1G`, `1536M`, `513`. */
export function humanSize(size: bigint): string {
  let unit = -1;
  let rest = size;
  while (rest > 0n && rest % 1024n === 0n && unit < LETTERS.length - 1) {
    rest /= 1024n;
    unit += 1;
  }
  return `${rest}${unit < 0 ? '' : LETTERS[unit]}`;
}
