import { UsageError } from '../../block/errors.ts';
import { compilePatiently, joinBrackets, run } from '../cli.ts';
import { understand } from '../standard.ts';
import { copy } from './copy.ts';
import { OPTIONS, readSettings } from './options.ts';

run('nbdcopy', async argv => {
  const help = async () => (await import('./help.ts')).HELP;
  const line = await understand({ name: 'nbdcopy', options: OPTIONS, help }, argv);
  if (!line) return 0;
  const { given, words } = line;
  const settings = readSettings(given);
  const [source, destination, ...more] = joinBrackets(words);
  if (!source || !destination || more.length > 0) {
    throw new UsageError('expected SOURCE DESTINATION: see --help');
  }
  compilePatiently();
  await copy(source, destination, settings);
  return 0;
});
