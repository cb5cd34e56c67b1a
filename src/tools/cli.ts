/** What every command shares: options as the C tools take them, one-line errors, exit status. */
import { createRequire } from 'node:module';
import { messageOf, UsageError } from '../block/errors.ts';
import { harmless } from '../protocol/text.ts';
import { endedBySignal, undoAll } from './ending.ts';
import { nearest } from './nearest.ts';

/** The version of the package. */
export function version(): string {
  return createRequire(import.meta.url)('nbdpipe/package.json').version;
}

/**
 * One option. `names` holds its letters and its long names; `value` says whether it takes one,
 * and 'optional' that it takes one only as `--name=value`.
 */
export interface Option {
  readonly names: readonly string[];
  readonly value?: 'required' | 'optional';
  /** What the value may be, for shell completion. */
  readonly values?: Values | (() => Values);
  /** Not among the options that scripts and shells are told of. */
  readonly hidden?: true;
}

/** The words that a shell offers as a value: these, or files or folders. */
export type Values = readonly string[] | 'file' | 'folder';

export type Options = Readonly<Record<string, Option>>;

/** How a command line is taken apart. */
export interface Parsing {
  /** All from the first word on is words, whatever it looks like. */
  readonly optionsFirst?: boolean | undefined;
}

export interface CommandLine<Key extends string> {
  /** The options given, in order. */
  readonly given: readonly { readonly key: Key; readonly value: string | undefined }[];
  /** Everything else, in order. */
  readonly words: readonly string[];
}

/**
 * Takes a command line apart the way getopt_long does: options and words in any order, `-abc`,
 * `-p1`, `-p 1`, `--port=1`, `--port 1`, unambiguous beginnings of long names, and `--` before
 * words that look like options. What stands between `[` and `]` is a command and taken as it is.
 * @throws UsageError
 */
export function parseCommandLine<Key extends string>(
  options: Readonly<Record<Key, Option>>,
  argv: readonly string[],
  { optionsFirst = false }: Parsing = {},
): CommandLine<Key> {
  const given: { key: Key; value: string | undefined }[] = [];
  const words: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '--') {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (optionsFirst && (word === '-' || !word.startsWith('-'))) {
      words.push(...argv.slice(at));
      break;
    }
    if (word === '[') {
      const end = argv.indexOf(']', at);
      words.push(...argv.slice(at, end < 0 ? argv.length : end + 1));
      at = end < 0 ? argv.length : end;
    } else if (word.startsWith('--')) {
      const [name, attached] = splitLong(word);
      const key = longOption(options, name);
      const takes = options[key].value;
      if (attached !== undefined && takes === undefined) {
        throw new UsageError(`option '--${name}' takes no value`);
      }
      given.push({
        key,
        value: takes === 'required' ? (attached ?? valueAt(++at, name)) : attached,
      });
    } else if (word.startsWith('-') && word !== '-') {
      at += cluster(word, at);
    } else {
      words.push(word);
    }
  }
  return { given, words };

  function valueAt(index: number, name: string): string {
    const value = argv[index];
    if (value === undefined) throw new UsageError(`option '${dashed(name)}' needs a value`);
    return value;
  }

  /** The letters of `-abc`; gives how many more words they used. */
  function cluster(word: string, at: number): number {
    for (let letter = 1; letter < word.length; letter++) {
      const name = word[letter]!;
      const key = keyOf(options, name);
      if (key === undefined) throw unknownOption(options, name);
      if (options[key].value !== 'required') {
        given.push({ key, value: undefined });
        continue;
      }
      const attached = word.slice(letter + 1);
      given.push({ key, value: attached === '' ? valueAt(at + 1, name) : attached });
      return attached === '' ? 1 : 0;
    }
    return 0;
  }
}

/** The name and the value of `--name=value`. */
export function splitLong(word: string): [name: string, value: string | undefined] {
  const equals = word.indexOf('=');
  return equals < 0 ? [word.slice(2), undefined] : [word.slice(2, equals), word.slice(equals + 1)];
}

/** A name as it is typed. */
export const dashed = (name: string) => (name.length === 1 ? `-${name}` : `--${name}`);

function keyOf<Key extends string>(
  options: Readonly<Record<Key, Option>>,
  name: string,
): Key | undefined {
  const keys = Object.keys(options) as Key[];
  return keys.find(key => options[key].names.includes(name));
}

function longOption<Key extends string>(options: Readonly<Record<Key, Option>>, name: string): Key {
  const exact = name.length > 1 ? keyOf(options, name) : undefined;
  if (exact !== undefined) return exact;
  const keys = Object.keys(options) as Key[];
  const begins = (long: string) => long.length > 1 && name !== '' && long.startsWith(name);
  const candidates = keys.filter(key => options[key].names.some(begins));
  if (candidates.length === 1) return candidates[0]!;
  if (candidates.length === 0) throw unknownOption(options, name);
  const names = candidates.flatMap(key => options[key].names.filter(begins));
  const list = names.map(long => `--${long}`).join(', ');
  throw new UsageError(`option '--${name}' is ambiguous: it could be ${list}`);
}

function unknownOption(options: Options, name: string): UsageError {
  const names = Object.values(options).flatMap(option => option.names);
  const close = name.length > 1 ? nearest(name, names) : undefined;
  const hint = close === undefined ? 'see --help' : `did you mean '${dashed(close)}'?`;
  return new UsageError(`unknown option '${dashed(name)}': ${hint}`);
}

/** Either a word, or the words of a command that stood in brackets. */
export type Endpoint =
  | { readonly word: string }
  | { readonly command: readonly [string, ...string[]] };

/**
 * Joins `[ CMD ARGS ... ]` into one endpoint each.
 * @throws UsageError
 */
export function joinBrackets(words: readonly string[]): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (let at = 0; at < words.length; at++) {
    if (words[at] !== '[') {
      endpoints.push({ word: words[at]! });
      continue;
    }
    const end = words.indexOf(']', at);
    if (end < 0) throw new UsageError("'[' without ']': expected [ COMMAND ARGUMENTS ... ]");
    const [program, ...rest] = words.slice(at + 1, end);
    if (program === undefined) throw new UsageError("'[ ]' has no command in it");
    endpoints.push({ command: [program, ...rest] });
    at = end;
  }
  return endpoints;
}

/** Whoever reads standard output has left. */
export class PipeClosed extends Error {}

/** Writes to standard output and waits until it is written. @throws PipeClosed */
export function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EPIPE' ? new PipeClosed('the pipe was closed') : error);
    process.stdout.once('error', fail);
    process.stdout.write(text, error => {
      if (error) return;
      process.stdout.off('error', fail);
      resolve();
    });
  });
}

/** What a shell reports for a program that SIGPIPE ended. */
const BROKEN_PIPE = 128 + 13;

/**
 * Runs a command and exits with the status that it gives. Whatever it throws becomes one line on
 * standard error and status 1; NBDPIPE_DEBUG=1 in the environment adds the stack. Before that, what
 * `atEnd` was told of is undone.
 * @param lead what stands between the program's name and the words of an error.
 */
export function run(
  program: string,
  main: (argv: string[]) => Promise<number>,
  lead: (error: unknown) => string = () => '',
): void {
  forgetDebugger();
  let ending = false;
  const end = async (status: number) => {
    if (ending || endedBySignal()) return;
    ending = true;
    process.exitCode = status;
    await undoAll();
    process.exit(status);
  };
  const fail = (error: unknown) => {
    if (ending || endedBySignal()) return;
    const pipe = error instanceof PipeClosed;
    if (!pipe) process.stderr.write(`${program}: ${lead(error)}${oneLine(error)}\n`);
    void end(pipe ? BROKEN_PIPE : 1);
  };
  process.on('uncaughtException', fail);
  // Else Node would end with status 0, as if all were done.
  process.once('beforeExit', () => fail(new Error('what it waits for can never come')));
  main(process.argv.slice(2)).then(end, fail);
}

/**
 * Node opens its debugger to whoever can send SIGUSR1. When a listener goes, the signal has its
 * default effect: it ends the program, as it does any that gives it no meaning.
 */
function forgetDebugger(): void {
  const listener = () => {};
  process.on('SIGUSR1', listener).off('SIGUSR1', listener);
}

/** What ends sooner pays nothing for it, in ms. */
const SOON = 50;

/**
 * For programs that move much data: V8 waits eight times as long before it compiles a function for
 * speed, which takes a quarter of a second of processors that the other end of the pipe needs, too,
 * and in each thread again. Functions that are used for long are compiled all the same.
 */
export function compilePatiently(): void {
  const tell = () => {
    // An import would start the loader of ES modules, which takes 8 ms.
    const v8: typeof import('node:v8') = createRequire(import.meta.url)('node:v8');
    v8.setFlagsFromString('--interrupt-budget=540672');
  };
  setTimeout(tell, SOON).unref();
}

/**
 * The words of an error on one line, whoever they come from; after it the excerpt of a UsageError,
 * and the stack when that is asked for.
 */
export function oneLine(error: unknown): string {
  const words = messageOf(error)
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  const stack = process.env.NBDPIPE_DEBUG && error instanceof Error ? `\n${error.stack}` : '';
  const excerpt = excerptOf(error);
  const more = (excerpt + stack).split('\n').map(harmless).join('\n');
  return harmless(words) + more;
}

/** Of the error, or of what has caused it. */
function excerptOf(error: unknown): string {
  if (error instanceof UsageError && error.excerpt) return `\n${error.excerpt}`;
  return error instanceof Error && error.cause ? excerptOf(error.cause) : '';
}
