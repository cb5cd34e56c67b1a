import { UsageError } from '../../block/errors.ts';
import {
  compilePatiently,
  joinBrackets,
  optionNames,
  parseCommandLine,
  print,
  run,
  version,
} from '../cli.ts';
import { copy } from './copy.ts';
import { OPTIONS, readSettings } from './options.ts';

run('nbdcopy', async argv => {
  const { given, words } = parseCommandLine(OPTIONS, argv);
  const has = (key: keyof typeof OPTIONS) => given.some(option => option.key === key);
  if (has('longOptions')) return printed(optionNames(OPTIONS, 'long'));
  if (has('shortOptions')) return printed(optionNames(OPTIONS, 'short'));
  if (has('version')) return printed(`nbdcopy ${version()}\nnbdpipe ${version()}\n`);
  if (has('help')) return printed((await import('./help.ts')).HELP);
  const settings = readSettings(given);
  const [source, destination, ...more] = joinBrackets(words);
  if (!source || !destination || more.length > 0) {
    throw new UsageError('expected SOURCE DESTINATION: see --help');
  }
  compilePatiently();
  await copy(source, destination, settings);
  return 0;
});

async function printed(text: string): Promise<number> {
  await print(text);
  return 0;
}
