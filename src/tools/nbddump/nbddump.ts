import { alignedDevice } from '../../block/aligned.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { type Options, print, run } from '../cli.ts';
import { COLOUR_OPTIONS, RESTORE, wantsColour } from '../colours.ts';
import { atEnd, endedBySignal } from '../ending.ts';
import { RANGE_OPTIONS, rangeOf } from '../range.ts';
import { STANDARD, understand } from '../standard.ts';
import { oneEndpoint, openTarget, withClient } from '../target.ts';
import { dump } from './dump.ts';
import { lookOf } from './lines.ts';

const OPTIONS = {
  ...COLOUR_OPTIONS,
  length: { ...RANGE_OPTIONS.length, names: ['n', 'length', 'limit'] },
  offset: RANGE_OPTIONS.offset,
  ...STANDARD,
} as const satisfies Options;

run('nbddump', async argv => {
  const help = async () => (await import('./help.ts')).HELP;
  const line = await understand({ name: 'nbddump', options: OPTIONS, help }, argv);
  if (!line) return 0;
  const { given, words } = line;
  const coloured = wantsColour(key => given.some(option => option.key === key));
  atEnd(async () => {
    if (coloured && endedBySignal()) process.stdout.write(`\n${RESTORE}`);
  });
  const range = rangeOf(given);
  const target = await openTarget(oneEndpoint(words));
  try {
    await withClient(target, [BASE_ALLOCATION], async client => {
      const text = dump(alignedDevice(client), range(client.size), lookOf(coloured));
      for await (const piece of text) await print(piece);
    });
  } finally {
    await target.close();
  }
  return 0;
});
