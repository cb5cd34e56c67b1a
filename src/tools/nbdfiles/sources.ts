import { UsageError } from '../../block/errors.ts';
import { formatNames } from '../../formats/formats.ts';
import { isNbdUri, isWebUrl } from '../../protocol/uri.ts';
import type { Option } from '../cli.ts';
import { STANDARD } from '../standard.ts';
import type { FilesLine } from './commands.ts';

/** Options of all commands, as the commands of libguestfs have them. */
export const GUEST_OPTIONS = {
  add: { names: ['a', 'add'], value: 'required', values: 'file' },
  format: { names: ['format'], value: 'optional', values: () => formatNames },
  blocksize: { names: ['blocksize'], value: 'optional', values: ['512', '4096'] },
  connect: { names: ['c', 'connect'], value: 'required' },
  domain: { names: ['d', 'domain'], value: 'required' },
  echoKeys: { names: ['echo-keys'] },
  key: { names: ['key'], value: 'required' },
  keysFromStdin: { names: ['keys-from-stdin'] },
  ignoreLog: { names: ['ignore-log'] },
  verbose: { names: ['v', 'verbose'] },
  trace: { names: ['x'] },
  ...STANDARD,
} as const satisfies Record<string, Option>;

/** Of commands that read files. */
export const MOUNT_OPTIONS = {
  mount: { names: ['m', 'mount'], value: 'required' },
} as const satisfies Record<string, Option>;

/** A disk of a command line. */
export interface Source {
  readonly what: string | readonly [string, ...string[]];
  /** The format that its image is said to have; undefined: it is recognised. */
  readonly format: string | undefined;
}

/** Whether it is the name of a file of this machine. */
export function isFile(what: Source['what']): what is string {
  return typeof what === 'string' && !isNbdUri(what) && !isWebUrl(what);
}

/** No argument can begin so. */
const MARK = '\0';

/**
 * Makes one word of each `[ COMMAND ARGUMENTS ... ]`, so that it can be the value of an option.
 * @throws UsageError a bracket is not closed, or nothing is in it.
 */
export function joinCommands(argv: readonly string[]): {
  readonly words: string[];
  readonly commands: FilesLine['commands'];
} {
  const words: string[] = [];
  const commands: [string, ...string[]][] = [];
  for (let at = 0; at < argv.length; at++) {
    if (argv[at] !== '[') {
      words.push(argv[at]!);
      continue;
    }
    const end = argv.indexOf(']', at);
    if (end < 0) throw new UsageError("'[' without ']': expected [ COMMAND ARGUMENTS ... ]");
    const [program, ...rest] = argv.slice(at + 1, end);
    if (program === undefined) throw new UsageError("'[ ]' has no command in it");
    words.push(MARK + commands.length);
    commands.push([program, ...rest]);
    at = end;
  }
  return { words, commands };
}

/** What a word of the command line names. */
export function sourceOf(line: FilesLine, word: string, format?: string): Source {
  const what = word.startsWith(MARK) ? line.commands[Number(word.slice(1))]! : word;
  return { what, format };
}

/**
 * The disks of an option, each with the format that was given before it.
 * @throws UsageError guests of libvirt, or a size of sectors that there is not.
 */
export function sourcesOf(line: FilesLine, option: string): Source[] {
  const sources: Source[] = [];
  let format: string | undefined;
  for (const { key, value } of line.given) {
    if (key === 'format') format = value;
    else if (key === option) sources.push(sourceOf(line, value!, format));
    else if (key.startsWith('domain') || key === 'connect') {
      throw new UsageError('guests of libvirt are not looked up here: give their disks with -a');
    } else if (key === 'blocksize' && !['512', '4096', undefined].includes(value)) {
      throw new UsageError(`--blocksize: ${value}: expected 512 or 4096`);
    }
  }
  return sources;
}

/** Whether an option was given. */
export function has(line: FilesLine, key: string): boolean {
  return line.given.some(option => option.key === key);
}

/** The last value of an option. */
export function lastValue(line: FilesLine, key: string): string | undefined {
  return line.given.findLast(option => option.key === key)?.value;
}
