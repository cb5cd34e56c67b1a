const LETTERS = ['', 'K', 'M', 'G', 'T', 'P', 'E'];

/**
 * Bytes as `df -h` prints them: below ten with one decimal, else whole, rounded to the nearest.
 * 1536 is 1.5K, 10240 is 10K.
 */
export function humanReadable(bytes: bigint): string {
  let unit = 1n;
  let power = 0;
  while (bytes / unit >= 1024n && power < LETTERS.length - 1) {
    unit *= 1024n;
    power += 1;
  }
  if (power === 0) return String(bytes);
  const tenths = nearest(bytes * 10n, unit);
  if (tenths < 100n) return `${tenths / 10n}.${tenths % 10n}${LETTERS[power]}`;
  const whole = nearest(bytes, unit);
  if (whole < 1024n || power === LETTERS.length - 1) return `${whole}${LETTERS[power]}`;
  return `1.0${LETTERS[power + 1]}`;
}

/** Halves go to the even side. */
function nearest(value: bigint, unit: bigint): bigint {
  const whole = value / unit;
  const twice = (value % unit) * 2n;
  const up = twice > unit || (twice === unit && whole % 2n === 1n);
  return up ? whole + 1n : whole;
}
