/** What every command answers about itself: version, help, manual page, shell completion. */
import { LIBNBD_RELEASE } from '../declare/release.ts';
import {
  type CommandLine,
  dashed,
  type Option,
  type Options,
  type Parsing,
  parseCommandLine,
  print,
  type Values,
} from './cli.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The options of every command. */
export const STANDARD = {
  help: { names: ['help'] },
  version: { names: ['V', 'version'] },
  man: { names: ['man'], hidden: true },
  completion: { names: ['completion'], value: 'required', values: SHELLS, hidden: true },
  longOptions: { names: ['long-options'], hidden: true },
  shortOptions: { names: ['short-options'], hidden: true },
} as const satisfies Options;

/** A command, as it describes itself. */
export interface Command<Key extends string> extends Parsing {
  readonly name: string;
  readonly options: Readonly<Record<Key, Option>>;
  help(line: CommandLine<Key>): string | Promise<string>;
  /** For --version; as the commands of libnbd say it unless given. */
  version?(line: CommandLine<Key>): string | Promise<string>;
  /** What the manual page may be called; as the command unless given. */
  pages?(line: CommandLine<Key>): readonly string[];
  /** What may begin where a word is no option, after what stands before it; files unless given. */
  wordsAfter?(line: CommandLine<Key>): Promise<CompletionWords>;
}

/** Words that may come next; those in `keys` with `=` and a value. */
export interface CompletionWords {
  readonly words?: readonly string[];
  readonly keys?: Readonly<Record<string, Values>>;
}

/**
 * Takes the command line apart.
 * @returns undefined when it was a question about the command itself, which is answered.
 * @throws UsageError
 */
export async function understand<Key extends string>(
  command: Command<Key>,
  argv: readonly string[],
): Promise<CommandLine<Key> | undefined> {
  if (argv[0] === '--complete') {
    const { completions } = await import('./completion.ts');
    await print(await completions(command, argv.slice(1)));
    return undefined;
  }
  const line = parseCommandLine(command.options, argv, command);
  const question = line.given.find(({ key }) => Object.hasOwn(STANDARD, key));
  if (!question) return line;
  await print(await answer(command, question.key as keyof typeof STANDARD, question.value, line));
  return undefined;
}

async function answer<Key extends string>(
  command: Command<Key>,
  key: keyof typeof STANDARD,
  value: string | undefined,
  line: CommandLine<Key>,
): Promise<string> {
  const { name, options } = command;
  switch (key) {
    case 'help':
      return command.help(line);
    case 'version':
      return command.version?.(line) ?? `${name} ${LIBNBD_RELEASE}\nlibnbd ${LIBNBD_RELEASE}\n`;
    case 'man':
      return (await import('./manual.ts')).showManual(command.pages?.(line) ?? [name]);
    case 'completion':
      return (await import('./completion.ts')).completionScript(name, value!);
    case 'longOptions':
      return optionNames(options, 'long');
    case 'shortOptions':
      return optionNames(options, 'short');
  }
}

/** The long or the short names, one a line, in the order of the C tools. */
export function optionNames(options: Options, which: 'long' | 'short'): string {
  const shown = Object.values(options).filter(({ hidden }) => !hidden);
  const names = shown.flatMap(option =>
    option.names.filter(name => name.length > 1 === (which === 'long')).sort(),
  );
  if (which === 'short') names.sort((a, b) => a.localeCompare(b));
  return names.map(name => `${dashed(name)}\n`).join('');
}
