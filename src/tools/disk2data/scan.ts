/** A part of a disk: bytes as they stand, a few bytes many times, or zeroes to leave out. */
export type Part =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'repeat'; readonly unit: Buffer; readonly count: number }
  | { readonly kind: 'zeroes'; readonly length: number };

const PERIODS: readonly number[] = [1, 2, 3, 4, 8, 16, 32, 512, 4096];
const SHORTEST_HOLE = 8;
const SHORTEST_RUN = 5;
const SHORTEST_REPEAT = 16;

/**
 * Takes bytes apart.
 * @param more further bytes follow: a repeat that reaches the end keeps an unfinished unit back.
 * @returns how many bytes the parts cover.
 */
export function scan(bytes: Buffer, more: boolean, take: (part: Part) => void): number {
  let literal = 0;
  let at = 0;
  const flush = () => {
    if (at > literal) take({ kind: 'bytes', bytes: bytes.subarray(literal, at) });
  };
  while (at < bytes.length) {
    const found = repeatAt(bytes, at, PERIODS);
    if (!found) {
      at += 1;
      continue;
    }
    const { unit, count } = found;
    const hole = unit.length === 1 && unit[0] === 0;
    if (hole && count < SHORTEST_HOLE && at + count < bytes.length) {
      at += count;
      continue;
    }
    flush();
    take(hole ? { kind: 'zeroes', length: count } : { kind: 'repeat', unit, count });
    at += count * unit.length;
    literal = at;
    if (more && bytes.length - at < unit.length && bytes.length > at) {
      if (unit.subarray(0, bytes.length - at).equals(bytes.subarray(at))) return at;
    }
  }
  flush();
  return bytes.length;
}

/** The parts of the unit of a repeat: only runs of one byte are looked for. */
export function scanUnit(bytes: Buffer): Part[] {
  const parts: Part[] = [];
  let literal = 0;
  for (let at = 0; at < bytes.length; ) {
    const found = repeatAt(bytes, at, [1]);
    if (!found) {
      at += 1;
      continue;
    }
    if (at > literal) parts.push({ kind: 'bytes', bytes: bytes.subarray(literal, at) });
    parts.push({ kind: 'repeat', ...found });
    at += found.count;
    literal = at;
  }
  if (bytes.length > literal) parts.push({ kind: 'bytes', bytes: bytes.subarray(literal) });
  return parts;
}

function repeatAt(
  bytes: Buffer,
  at: number,
  periods: readonly number[],
): { unit: Buffer; count: number } | undefined {
  for (const period of periods) {
    if (bytes[at] !== bytes[at + period] || bytes[at + 1] !== bytes[at + period + 1]) continue;
    const length = period + matchLength(bytes, at, at + period);
    const enough = period === 1 ? SHORTEST_RUN : Math.max(SHORTEST_REPEAT, 2 * period);
    if (length < enough) continue;
    return { unit: bytes.subarray(at, at + period), count: Math.floor(length / period) };
  }
  return undefined;
}

/** How many bytes from `a` on are as those from `b` on, which is later; blocks are compared. */
function matchLength(bytes: Buffer, a: number, b: number): number {
  const room = bytes.length - b;
  const equal = (from: number, to: number) =>
    bytes.compare(bytes, a + from, a + to, b + from, b + to) === 0;
  let same = 0;
  let step = 16;
  while (same + step <= room && equal(same, same + step)) {
    same += step;
    step *= 2;
  }
  for (step = Math.min(step, room - same); step > 0; step = Math.floor(step / 2)) {
    while (same + step <= room && equal(same, same + step)) same += step;
  }
  return same;
}
