import { alignedDevice } from '../../block/aligned.ts';
import { before, type Call, CHANGES } from '../../block/around.ts';
import { MAX_SIZE } from '../../block/device.ts';
import { BlockError, naming } from '../../block/errors.ts';
import { cutAtRanges, type Range, union } from '../../block/ranges.ts';
import { holds, readsAsZeroes } from '../../block/verify.ts';
import { defineFilter } from '../../declare/declare.ts';
import { parseRange } from '../../declare/range.ts';

export default defineFilter({
  name: 'protect',
  description: 'forbids changes of some ranges of the disk',
  parameters: {
    protect: { type: 'string', repeat: true, help: 'START-END, or ~START-END for all but these' },
  },
  check: ({ protect }) => void protectedRanges(protect),
  wrap(below, { protect }) {
    const ranges = protectedRanges(protect);
    const readable = alignedDevice(below);
    const check = async ({ offset, data, options }: Call, parts: readonly Protected[]) => {
      for (const part of parts) {
        const from = Number(part.offset - offset);
        const unchanged = data
          ? holds(readable, part.offset, data.subarray(from, from + part.length), options)
          : readsAsZeroes(readable, part.offset, part.length, options);
        if (!(await unchanged)) throw refusal(part);
      }
    };
    return before(
      below,
      call => {
        const parts = cutAtRanges(ranges, call.offset, call.length).filter(isProtected);
        return parts.length > 0 ? check(call, parts) : undefined;
      },
      CHANGES,
    );
  },
});

interface Protected {
  readonly offset: bigint;
  readonly length: number;
  readonly range: Range;
}

function isProtected(piece: { readonly range: Range | undefined }): piece is Protected {
  return piece.range !== undefined;
}

function refusal({ offset, range: { start, end } }: Protected): BlockError {
  const words = `protect filter prevented write to protected range ${start}-${end - 1n}`;
  return new BlockError('EPERM', words, { offset });
}

function protectedRanges(words: readonly string[]): Range[] {
  return union(words.flatMap(word => naming('protect', () => rangesOf(word))));
}

function rangesOf(word: string): Range[] {
  if (!word.startsWith('~')) return [parseRange(word)];
  const { start, end } = parseRange(word.slice(1));
  const others = [
    { start: 0n, end: start },
    { start: end, end: MAX_SIZE },
  ];
  return others.filter(other => other.start < other.end);
}
