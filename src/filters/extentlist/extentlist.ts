import { naming, UsageError } from '../../block/errors.ts';
import { ExtentList } from '../../block/extents.ts';
import { cutAtRanges, inOrder, overlap, type Range } from '../../block/ranges.ts';
import { parseSize } from '../../block/size.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { readLines } from '../../declare/lines.ts';

export default defineFilter({
  name: 'extentlist',
  description: 'says where the disk has data and holes from a list in a file',
  parameters: {
    extentlist: { type: 'path', required: true, help: 'File with lines OFFSET LENGTH [TYPE]' },
  },
  create({ extentlist: file }, below, { debug }) {
    const listed = naming('extentlist', () => readList(file));
    for (const [index, { start, end, hole, zero }] of listed.entries()) {
      const place = `${start}-${end - 1n} (length ${end - start})`;
      debug(`extentlist: extent[${index}] = ${place} type ${Number(hole) + 2 * Number(zero)}`);
    }
    return wrapSource(below, disk =>
      wrapDevice(disk, {
        ...PASS,
        extents(offset, length) {
          const list = new ExtentList();
          for (const piece of cutAtRanges(listed, offset, length)) {
            const { hole, zero } = piece.range ?? { hole: true, zero: true };
            list.add(piece.length, hole, zero);
          }
          return list.extents;
        },
      }),
    );
  },
});

interface Listed extends Range {
  readonly hole: boolean;
  readonly zero: boolean;
}

function readList(file: string): Listed[] {
  const lines = readLines(file, ([offset, length, type = '']) => {
    if (length === undefined) throw new UsageError('expected OFFSET LENGTH [TYPE]');
    const start = parseSize(offset!);
    return { start, end: start + parseSize(length), ...kindOf(type) };
  });
  const listed = inOrder(lines.filter(({ start, end }) => start < end));
  const [one, other] = overlap(listed) ?? [];
  if (!one) return listed;
  const words = 'extents in the extent list are overlapping';
  throw new UsageError(`${words}: ${one.start}-${one.end - 1n} and those from ${other!.start} on`);
}

/** A number whose bits are hole and zero, or words in any form that have these words in them. */
function kindOf(type: string): Pick<Listed, 'hole' | 'zero'> {
  if (!/^\d+$/.test(type)) return { hole: type.includes('hole'), zero: type.includes('zero') };
  return { hole: (Number(type) & 1) !== 0, zero: (Number(type) & 2) !== 0 };
}
