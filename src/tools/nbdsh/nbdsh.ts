import { UsageError } from '../../block/errors.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { type CommandLine, type Options, run } from '../cli.ts';
import { atEnd } from '../ending.ts';
import { STANDARD, understand } from '../standard.ts';
import type { Part } from './shell.ts';

const OPTIONS = {
  baseAllocation: { names: ['b', 'base-allocation'] },
  command: { names: ['c', 'command'], value: 'required' },
  noHandle: { names: ['n'] },
  optMode: { names: ['opt-mode'] },
  uri: { names: ['u', 'uri'], value: 'required' },
  verbose: { names: ['v', 'verbose'] },
  ...STANDARD,
  help: { names: ['h', 'help'] },
} as const satisfies Options;

type Key = keyof typeof OPTIONS;

run('nbdsh', async argv => {
  const help = async () => (await import('./help.ts')).HELP;
  const line = await understand({ name: 'nbdsh', options: OPTIONS, help }, argv);
  if (!line) return 0;
  const has = (key: Key) => line.given.some(option => option.key === key);
  if (has('noHandle') && (has('baseAllocation') || has('optMode') || has('uri'))) {
    throw new UsageError('-n cannot be used with --base-allocation, --opt-mode or --uri');
  }
  const { Exit, Shell } = await import('./shell.ts');
  const shell = new Shell({
    handle: !has('noHandle'),
    contexts: has('baseAllocation') ? [BASE_ALLOCATION] : [],
    optMode: has('optMode'),
    verbose: has('verbose') || process.env.LIBNBD_DEBUG === '1',
  });
  atEnd(() => shell.close());
  try {
    const parts = partsOf(line);
    const open = parts.every(({ kind }) => kind === 'uri');
    const terminal = process.stdin.isTTY;
    // What comes through a pipe is a script.
    if (open && !terminal) parts.push({ kind: 'file', text: '-' });
    await shell.execute(parts);
    if (!open || !terminal) return 0;
    const { prompt } = await import('./prompt.ts');
    return await prompt(shell);
  } catch (error) {
    if (error instanceof Exit) return error.status;
    throw error;
  }
});

/** What is to be done, in the order of the command line; files come last. */
function partsOf({ given, words }: CommandLine<Key>): Part[] {
  const options = given.flatMap(({ key, value }): Part[] => {
    if (key === 'uri') return [{ kind: 'uri', text: value! }];
    if (key !== 'command') return [];
    return [{ kind: value === '-' ? 'file' : 'code', text: value! }];
  });
  const files = words.map((text): Part => ({ kind: 'file', text }));
  return [...options, ...files];
}
