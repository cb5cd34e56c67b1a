import { compilePatiently, run } from '../cli.ts';
import { STANDARD, understand } from '../standard.ts';
import { usage } from './common.ts';
import { HELP } from './help.ts';
import { PROGRAM } from './program.ts';
import { SUBCOMMANDS, type Subcommand } from './subcommands.ts';

run(PROGRAM, async argv => {
  const [name, ...words] = argv;
  if (name === undefined) throw usage('Not enough arguments');
  if (name === '--link') return (await import('../link.ts')).link(words, ['qemu-img']);
  if (name.startsWith('-')) {
    const about = {
      name: PROGRAM,
      options: { ...STANDARD, help: { names: ['h', 'help'] } },
      help: () => HELP,
      pages: () => ['nbdimg'],
      wordsAfter: async () => ({ words: Object.keys(SUBCOMMANDS) }),
    };
    const line = await understand(
      { ...about, version: () => `${PROGRAM} version 7.2.0 (nbdpipe)\n` },
      argv,
    );
    if (line) throw usage('Not enough arguments');
    return 0;
  }
  const load = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
  if (!load) throw usage(`Command not found: ${name}`);
  const subcommand: Subcommand = await load();
  const options = { ...subcommand.options, ...STANDARD, help: { names: ['h', 'help'] } };
  const about = { name: `${PROGRAM} ${name}`, options, help: () => HELP };
  const line = await understand({ ...about, pages: () => ['nbdimg'] }, words);
  if (!line) return 0;
  compilePatiently();
  return subcommand.run(line);
});
