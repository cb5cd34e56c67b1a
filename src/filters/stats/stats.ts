import { closeSync, openSync, writeSync } from 'node:fs';
import { andThen } from '../../block/answer.ts';
import { around } from '../../block/around.ts';
import { messageOf, UsageError } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { report } from './report.ts';
import { Tally } from './tally.ts';

export default defineFilter({
  name: 'stats',
  description:
    'tells at the end how many requests there were, of which sizes, and how fast they were',
  parameters: {
    statsfile: { type: 'path', required: true, help: 'File to write to' },
    statsappend: { type: 'boolean', default: 'false', help: 'Keep what is in the file already' },
    statsthreshold: {
      type: 'integer',
      minimum: 0,
      maximum: 100,
      default: '95',
      help: 'Percent of the requests whose sizes are told; 0 for none',
    },
  },
  create({ statsfile, statsappend, statsthreshold }, below, { warn }) {
    const fd = openFile(statsfile, statsappend);
    const start = performance.now();
    const tally = new Tally();
    const watched = wrapSource(below, device =>
      around(device, ({ kind, offset, length }, act) => {
        const began = performance.now();
        return andThen(act(), answer => {
          tally.add(kind, offset, length, performance.now() - began);
          return answer;
        });
      }),
    );
    return passSource(watched, {
      close: async () => {
        await below.close?.();
        const seconds = (performance.now() - start) / 1000;
        try {
          writeSync(fd, report(tally, { seconds, threshold: statsthreshold / 100 }));
        } catch (error) {
          warn(`statsfile: ${messageOf(error)}`);
        }
        closeSync(fd);
      },
    });
  },
});

function openFile(path: string, append: boolean): number {
  try {
    return openSync(path, append ? 'a' : 'w');
  } catch (error) {
    throw new UsageError(`statsfile: ${messageOf(error)}`);
  }
}
