import { BlockError, naming, UsageError } from '../../block/errors.ts';
import { cutAtRanges, type Range, union } from '../../block/ranges.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { readLines } from '../../declare/lines.ts';
import { parsePlace } from '../../declare/range.ts';

export default defineFilter({
  name: 'ddrescue',
  description: 'fails reads of what GNU ddrescue could not rescue',
  parameters: {
    'ddrescue-mapfile': { type: 'path', required: true, help: 'The map that ddrescue has written' },
  },
  create({ 'ddrescue-mapfile': file }, below) {
    const rescued = naming('ddrescue-mapfile', () => readMap(file));
    return wrapSource(below, disk =>
      wrapDevice(disk, {
        ...PASS,
        read(offset, length, options) {
          const lost = cutAtRanges(rescued, offset, length).find(({ range }) => !range);
          if (!lost) return disk.read(offset, length, options);
          const words = `the bytes from ${lost.offset} on were not rescued`;
          throw new BlockError('EIO', words, { offset: lost.offset });
        },
        write: undefined,
        trim: undefined,
        zero: undefined,
        cache: undefined,
        caching: 'none',
        resize: undefined,
      }),
    );
  },
});

/** The ranges that were rescued; the first line is about the state of the rescue. */
function readMap(file: string): Range[] {
  const [, ...ranges] = readLines(file, ([first, length, status]) => {
    const start = parsePlace(first!);
    if (!status) throw new UsageError('expected a place, a size and a status');
    const size = status === '+' ? parsePlace(length!) : 0n;
    return { start, end: start + size };
  });
  return union(ranges.filter(({ start, end }) => start < end));
}
