/** Ranges of bytes and the blocks in which they lie; the last block of a disk may be short. */

/** A part of a range; `at` is where in the range it begins, `whole` that it is of whole blocks. */
export interface Segment {
  readonly offset: bigint;
  readonly length: number;
  readonly at: number;
  readonly whole: boolean;
}

/** The whole blocks that have all of a range. @param size of the disk, in bytes. */
export function outward(
  offset: bigint,
  length: number,
  block: number,
  size: bigint,
): { start: bigint; span: number } {
  const before = Number(offset % BigInt(block));
  const end = offset + BigInt(length);
  const over = Number(end % BigInt(block));
  const rest = size - end;
  const after = over === 0 ? 0 : block - over;
  const start = offset - BigInt(before);
  return { start, span: before + length + (rest < after ? Number(rest) : after) };
}

/** A part of a block, whole blocks, and a part of a block: those of them that there are. */
export function segmentsOf(offset: bigint, length: number, block: number, size: bigint): Segment[] {
  const within = Number(offset % BigInt(block));
  const head = within === 0 ? 0 : Math.min(block - within, length);
  const isLast = offset + BigInt(length) === size;
  const tail = isLast ? 0 : (length - head) % block;
  const segment = (at: number, to: number, whole: boolean): Segment[] =>
    to > at ? [{ offset: offset + BigInt(at), length: to - at, at, whole }] : [];
  return [
    ...segment(0, head, false),
    ...segment(head, length - tail, true),
    ...segment(length - tail, length, false),
  ];
}
