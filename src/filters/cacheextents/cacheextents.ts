import { andThen, ending } from '../../block/answer.ts';
import { around, CHANGES } from '../../block/around.ts';
import type { Extent } from '../../block/device.ts';
import { cutRuns } from '../../block/extents.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'cacheextents',
  description: 'keeps the last answer to where data and holes are',
  parameters: {},
  create(_parameters, below) {
    const kept = new Map<string, Kept>();
    let changes = 0;
    const forget = () => {
      changes += 1;
      kept.clear();
    };
    return wrapSource(below, (device, { exportName }) => {
      const watched = around(
        device,
        (_call, act) => {
          forget();
          return ending(act, forget);
        },
        CHANGES,
      );
      const { extents } = device;
      if (!extents) return watched;
      return wrapDevice(watched, {
        ...PASS,
        extents(offset, length, options) {
          const known = kept.get(exportName);
          const skip = known ? Number(offset - known.offset) : 0;
          const runs = known && skip >= 0 ? cutRuns(known.runs, skip, length) : [];
          if (runs.length > 0) return runs;
          const before = changes;
          const answer = device.extents!(offset, length, { signal: options?.signal });
          return andThen(answer, own => {
            if (changes === before) kept.set(exportName, { offset, runs: own });
            return own;
          });
        },
      });
    });
  },
});

/** What the disk has said of the bytes from an offset on. */
interface Kept {
  readonly offset: bigint;
  readonly runs: readonly Extent[];
}
