/** Bytes from `start` up to, not including, `end`. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** A piece of a request, and in which range it lies, if in any. */
export interface Piece<R extends Range> {
  readonly offset: bigint;
  readonly length: number;
  readonly range: R | undefined;
}

/** The ranges in order, those that overlap or touch as one. */
export function union(ranges: readonly Range[]): Range[] {
  const joined: { start: bigint; end: bigint }[] = [];
  for (const { start, end } of inOrder(ranges)) {
    const last = joined.at(-1);
    if (!last || start > last.end) joined.push({ start, end });
    else if (end > last.end) last.end = end;
  }
  return joined;
}

/** The ranges by where they start. */
export function inOrder<R extends Range>(ranges: readonly R[]): R[] {
  return ranges.toSorted((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
}

/** The first two of ranges in order that overlap, if any do. */
export function overlap<R extends Range>(ordered: readonly R[]): readonly [R, R] | undefined {
  const at = ordered.findIndex(
    (range, index) => index > 0 && range.start < ordered[index - 1]!.end,
  );
  return at < 0 ? undefined : [ordered[at - 1]!, ordered[at]!];
}

/** A request cut where ranges begin and end, in order. @param ordered none overlaps another. */
export function cutAtRanges<R extends Range>(
  ordered: readonly R[],
  offset: bigint,
  length: number,
): Piece<R>[] {
  const whole = { start: offset, end: offset + BigInt(length) };
  return splitRange(ordered, whole).map(({ start, end, range }) => ({
    offset: start,
    length: Number(end - start),
    range,
  }));
}

/** A range cut where others begin and end, in order. @param ordered none overlaps another. */
export function splitRange<R extends Range>(
  ordered: readonly R[],
  { start, end }: Range,
): (Range & { readonly range: R | undefined })[] {
  const pieces: (Range & { readonly range: R | undefined })[] = [];
  let index = firstAfter(ordered, start);
  for (let at = start; at < end; ) {
    const next = ordered[index];
    const range = next && next.start <= at ? next : undefined;
    const border = range ? range.end : (next?.start ?? end);
    const to = border < end ? border : end;
    pieces.push({ start: at, end: to, range });
    if (range) index += 1;
    at = to;
  }
  return pieces;
}

/** The index of the first range that ends after an offset; how many there are if none does. */
export function firstAfter(ordered: readonly Pick<Range, 'end'>[], offset: bigint): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ordered[middle]!.end <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
