import { optionNames, parseCommandLine, print, run, version } from '../cli.ts';
import { readyReporter, startInBackground } from './background.ts';
import { pluginName, type Stack } from './configure.ts';
import { takeInherited } from './listen.ts';
import { load } from './load.ts';
import { Given, OPTIONS, readSettings } from './options.ts';
import { serve } from './serve.ts';

run('nbdkit', async argv => {
  const { given: list, words } = parseCommandLine(OPTIONS, argv);
  const given = new Given(list);
  if (given.has('longOptions')) return printed(optionNames(OPTIONS, 'long'));
  if (given.has('shortOptions')) return printed(optionNames(OPTIONS, 'short'));
  if (given.has('version')) return printed(`nbdkit ${version()}\n`);
  if (given.has('dumpConfig')) {
    const { configText } = await import('./dump.ts');
    return printed(configText());
  }
  const filters = given.values('filter');
  if (given.has('help')) {
    const { helpText } = await import('./help.ts');
    const [name] = words;
    const plugin = name === undefined ? undefined : await load('plugin', name);
    return printed(helpText(await loadFilters(filters), plugin));
  }
  if (given.has('dumpPlugin')) {
    const { pluginText } = await import('./dump.ts');
    return printed(pluginText(await load('plugin', pluginName(words))));
  }
  const settings = readSettings(given, takeInherited());
  const reportReady = readyReporter();
  if (settings.background && !reportReady) return startInBackground(words);
  const stack: Stack = {
    filters: await loadFilters(filters),
    plugin: await load('plugin', pluginName(words)),
  };
  return serve(settings, stack, words.slice(1), reportReady);
});

async function printed(text: string): Promise<number> {
  await print(text);
  return 0;
}

async function loadFilters(names: readonly string[]): Promise<Stack['filters']> {
  return Promise.all(names.map(name => load('filter', name)));
}
