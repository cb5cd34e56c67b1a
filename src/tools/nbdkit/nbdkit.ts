import { NBDKIT_RELEASE } from '../../declare/release.ts';
import { type CommandLine, print, run, version } from '../cli.ts';
import { load } from '../load.ts';
import { type Command, understand } from '../standard.ts';
import { readyReporter, startInBackground } from './background.ts';
import { PartError, pluginName, type Stack } from './configure.ts';
import { takeInherited } from './listen.ts';
import { Given, OPTIONS, type OptionKey, readSettings } from './options.ts';
import { serve } from './serve.ts';

type Line = CommandLine<OptionKey>;

const COMMAND: Command<OptionKey> = {
  name: 'nbdkit',
  options: OPTIONS,
  help: async line => (await import('./help.ts')).helpText(await partsOf(line)),
  version: async line => {
    const names = (await partsOf(line)).map(({ declaration }) => declaration.name);
    const own = `nbdkit ${NBDKIT_RELEASE} (nbdpipe ${version()})\n`;
    return own + names.map(name => `${name} ${NBDKIT_RELEASE}\n`).join('');
  },
  pages: ({ words: [name] }) =>
    name === undefined ? ['nbdkit'] : [`nbdkit-${name}-plugin`, `nbdkit-${name}-filter`],
  wordsAfter: async line => (await import('./words.ts')).wordsAfter(line),
};

run(
  'nbdkit',
  async argv => {
    const line = await understand(COMMAND, argv);
    if (!line) return 0;
    const given = new Given(line.given);
    if (given.has('dumpConfig')) {
      const { configText } = await import('./dump.ts');
      await print(configText());
      return 0;
    }
    const settings = readSettings(given, takeInherited());
    const { words } = line;
    if (given.has('dumpPlugin')) {
      const { dumpText } = await import('./dump.ts');
      await print(await dumpText(await stackOf(line), words.slice(1)));
      return 0;
    }
    const reportReady = readyReporter();
    if (settings.background && !reportReady) return startInBackground(words);
    return serve(settings, await stackOf(line), words.slice(1), reportReady);
  },
  error => (error instanceof PartError ? `${error.part}: error: ` : 'error: '),
);

async function loadFilters({ given }: Line): Promise<Stack['filters']> {
  return Promise.all(new Given(given).values('filter').map(name => load('filter', name)));
}

async function stackOf(line: Line): Promise<Stack> {
  const plugin = await load('plugin', pluginName(line.words));
  return { filters: await loadFilters(line), plugin };
}

/** The filters on a command line, and the plugin if there is one. */
async function partsOf(line: Line): Promise<(Stack['filters'][number] | Stack['plugin'])[]> {
  const [name] = line.words;
  const plugin = name === undefined ? [] : [await load('plugin', name)];
  return [...(await loadFilters(line)), ...plugin];
}
