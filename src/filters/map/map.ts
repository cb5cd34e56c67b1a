import type { BlockDevice } from '../../block/device.ts';
import { BlockError, naming, UsageError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { RangeLock } from '../../block/range-lock.ts';
import { inOrder, type Range, splitRange } from '../../block/ranges.ts';
import { sliceDevice } from '../../block/slice.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { parsePlace, parseRange } from '../../declare/range.ts';

export default defineFilter({
  name: 'map',
  description: 'puts ranges of the disk into other places',
  parameters: {
    map: {
      type: 'string',
      repeat: true,
      help: 'START-END:DEST, these bytes are those from DEST on',
    },
    'map-size': { type: 'size', help: 'The size (default: that of the disk below)' },
  },
  create({ map, 'map-size': size }, below) {
    const mappings = map.map(word => naming('map', () => parseMapping(word)));
    // For all connections, whose writes may share a block of the disk below.
    const locks = new RangeLock();
    return wrapSource(below, disk => mapped(disk, mappings, size ?? disk.size, locks));
  },
});

interface Mapping extends Range {
  /** Where its first byte is on the disk below. */
  readonly from: bigint;
}

function parseMapping(word: string): Mapping {
  const [range, place, ...others] = word.split(':');
  if (!place || others.length > 0) throw new UsageError(`'${word}': expected START-END:DEST`);
  return { ...parseRange(range!), from: parsePlace(place) };
}

function mapped(
  disk: BlockDevice,
  mappings: readonly Mapping[],
  size: bigint,
  locks: RangeLock,
): BlockDevice {
  const slices = placed(mappings, size).map(({ start, end, from }) => {
    if (from + end - start > disk.size) {
      const words = `${start}-${end - 1n} are mapped to ${from}, past the end of the disk`;
      throw new BlockError('EIO', `map: ${words}, which is ${disk.size}`);
    }
    const slice = sliceDevice(disk, from, end - start, { locks });
    return wrapDevice(slice, { ...PASS, close: () => {} });
  });
  const joined = joinDevices(slices);
  return wrapDevice(joined, {
    ...PASS,
    ...(joined.flush && { flush: options => disk.flush!(options) }),
    close: () => disk.close?.(),
  });
}

/** All of the disk, what was given first before what came later, and the rest where it is. */
function placed(mappings: readonly Mapping[], size: bigint): Mapping[] {
  let done: Mapping[] = [];
  for (const { start, end, from } of [...mappings, { start: 0n, end: size, from: 0n }]) {
    const inside = { start, end: end < size ? end : size };
    const free = splitRange(done, inside).filter(({ range }) => !range);
    const own = free.map(part => ({ ...part, from: from + part.start - start }));
    done = inOrder([...done, ...own]);
  }
  return done;
}
