import { UsageError } from '../../block/errors.ts';
import { compilePatiently, print, run } from '../cli.ts';
import { originOf } from '../modes.ts';
import { understand } from '../standard.ts';
import { untilSignal } from '../until-signal.ts';
import { fuseHelp } from './fuse-options.ts';
import { lenderFor } from './lender.ts';
import { mountPoint } from './mount-point.ts';
import { OPTIONS, readSettings, type Settings } from './options.ts';
import { show } from './show.ts';

const COMMAND = {
  name: 'nbdfuse',
  options: OPTIONS,
  optionsFirst: true,
  help: async () => (await import('./help.ts')).HELP,
};

run('nbdfuse', async argv => {
  const line = await understand(COMMAND, argv);
  if (!line) return 0;
  if (line.given.some(({ key }) => key === 'fuseHelp')) {
    await print(fuseHelp());
    return 0;
  }
  compilePatiently();
  return nbdfuse(line.words, readSettings(line.given));
});

async function nbdfuse([place, ...words]: readonly string[], settings: Settings): Promise<number> {
  if (place === undefined) throw new UsageError('expected MOUNTPOINT and a disk: see --help');
  const point = mountPoint(place, settings.allExports);
  const lender = lenderFor(settings.connecting);
  const { sharedMemory = settings.connecting.sharedMemory } = lender;
  const connecting = { ...settings.connecting, sharedMemory };
  return untilSignal(async ending => {
    const origin = await originOf(words, { sharedMemory, signal: ending.signal });
    try {
      await show(origin, point, { ...settings, connecting }, lender, ending);
    } finally {
      await origin.close();
    }
  });
}
