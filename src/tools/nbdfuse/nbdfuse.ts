import { constants } from 'node:os';
import { UsageError } from '../../block/errors.ts';
import { compilePatiently, print, run } from '../cli.ts';
import { understand } from '../standard.ts';
import { originOf } from './modes.ts';
import { mountPoint } from './mount-point.ts';
import { OPTIONS, readSettings, type Settings } from './options.ts';
import { show } from './show.ts';

const SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;

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
    await print((await import('./fuse-options.ts')).fuseHelp());
    return 0;
  }
  compilePatiently();
  return nbdfuse(line.words, readSettings(line.given));
});

/** A signal ends it in order, as unmounting does; a second one ends it at once. */
async function nbdfuse([place, ...words]: readonly string[], settings: Settings): Promise<number> {
  if (place === undefined) throw new UsageError('expected MOUNTPOINT and a disk: see --help');
  const point = mountPoint(place, settings.allExports);
  const ending = new AbortController();
  const end = (signal: NodeJS.Signals) => {
    for (const each of SIGNALS) process.off(each, end);
    ending.abort(new Interrupted(signal));
  };
  for (const each of SIGNALS) process.on(each, end);
  try {
    const origin = await originOf(words, ending.signal);
    try {
      await show(origin, point, settings, ending);
    } finally {
      await origin.close();
    }
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) return error.status;
    throw error;
  }
}

/** It was ended before the disk was there. */
class Interrupted extends Error {
  /** As a shell has it. */
  readonly status: number;

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.status = 128 + constants.signals[signal];
  }
}
