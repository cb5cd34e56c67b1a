import { basename } from 'node:path';
import { UsageError } from '../../block/errors.ts';
import { run, version } from '../cli.ts';
import { understand } from '../standard.ts';
import { commandNames, linkedNames, loadCommand } from './commands.ts';
import { joinCommands } from './sources.ts';

const PREFIX = 'virt-';

/** The command that a link to this program is called by: virt-df is df. */
function calledAs(path = ''): string | undefined {
  const name = basename(path).replace(/\.\w+$/, '');
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
}

const linked = calledAs(process.argv[1]);

run(linked === undefined ? 'nbdfiles' : PREFIX + linked, argv =>
  linked === undefined ? dispatch(argv) : runCommand(PREFIX + linked, linked, argv),
);

async function dispatch(argv: readonly string[]): Promise<number> {
  const [first = '--help', ...rest] = argv;
  if (first === '--link') {
    const { link } = await import('../link.ts');
    return link(
      rest,
      linkedNames().map(name => PREFIX + name),
    );
  }
  if (!first.startsWith('-')) return runCommand('nbdfiles', first, rest);
  const { HELP, OPTIONS } = await import('./help.ts');
  const own = { name: 'nbdfiles', options: OPTIONS, help: () => HELP, version: versionText };
  const line = await understand(
    { ...own, wordsAfter: async () => ({ words: commandNames() }) },
    argv,
  );
  if (!line) return 0;
  throw new UsageError(`which command? expected ${commandNames().join(', ')}; see --help`);
}

const versionText = () => `nbdfiles ${version()}\n`;

/** @param program the name by which the user knows it. */
async function runCommand(program: string, name: string, argv: readonly string[]): Promise<number> {
  const command = await loadCommand(name);
  const { options, help } = command;
  const described = { name: program, options, help: () => help, version: versionText };
  const pages = () => ['nbdfiles'];
  const { words, commands } = joinCommands(argv);
  const line = await understand({ ...described, pages }, words);
  if (!line) return 0;
  return command.run({ ...line, commands, program });
}
