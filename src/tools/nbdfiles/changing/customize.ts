import { readFileSync } from 'node:fs';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../../block/errors.ts';
import type { Option } from '../../cli.ts';
import type { FilesCommand, FilesLine } from '../commands.ts';
import { warn } from '../failures.ts';
import { GUEST_OPTIONS, sourcesOf } from '../sources.ts';
import { NEED_A_GUEST, OPERATIONS, type Operation } from './operations.ts';
import { changing } from './session.ts';

/** The keys of options that do something. */
const DOES = 'do ';
const NEEDS = 'needs ';

const required = (name: string, key: string): [string, Option] => [
  key + name,
  { names: [name], value: 'required' },
];

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    mount: { names: ['mount'], value: 'required' },
    commands: { names: ['commands-from-file'], value: 'required', values: 'file' },
    dryRun: { names: ['n', 'dry-run', 'dryrun', 'no-execute'] },
    quiet: { names: ['q', 'quiet'] },
    noLogFile: { names: ['no-logfile'] },
    noRelabel: { names: ['no-selinux-relabel'] },
    network: { names: ['network'] },
    noNetwork: { names: ['no-network'] },
    memory: { names: ['m', 'memsize'], value: 'required' },
    processors: { names: ['smp'], value: 'required' },
    passwordCrypto: { names: ['password-crypto'], value: 'required', values: ['sha512'] },
    ...Object.fromEntries(
      Object.entries(OPERATIONS).map(([name, { form }]) =>
        form === undefined ? [DOES + name, { names: [name] }] : required(name, DOES),
      ),
    ),
    ...Object.fromEntries(NEED_A_GUEST.map(name => required(name, NEEDS))),
    [`${NEEDS}update`]: { names: ['update'] },
  },
  help: `
Changes files of a system on disks, in the order of the options:

    virt-customize -a DISK [-a DISK ...] OPTION ...

${Object.entries(OPERATIONS)
  .map(([name, { form = '' }]) => `    --${name} ${form}`.trimEnd())
  .join('\n')}
    --commands-from-file FILE

With --dry-run nothing is written.

`,
  run(line) {
    if (line.words.length > 0) throw new UsageError(`${line.words[0]}: expected options only`);
    const steps = stepsOf(line);
    const saying = { warn: (words: string) => warn(line, words) };
    return changing(line, sourcesOf(line, 'add'), async editor => {
      for (const { name, value, run } of steps) {
        try {
          await run(editor, value, saying);
        } catch (error) {
          throw named(name, error);
        }
      }
    });
  },
};

export default command;

interface Step extends Operation {
  readonly name: string;
  readonly value: string;
}

function stepsOf(line: FilesLine): Step[] {
  const crypto = line.given.findLast(({ key }) => key === 'passwordCrypto')?.value ?? 'sha512';
  if (crypto !== 'sha512') throw new UsageError(`--password-crypto: ${crypto}: expected sha512`);
  return line.given.flatMap(({ key, value = '' }) => {
    if (key === 'commands') return stepsIn(value);
    if (key.startsWith(NEEDS)) return step(key.slice(NEEDS.length), value);
    return key.startsWith(DOES) ? step(key.slice(DOES.length), value) : [];
  });
}

/** @throws UsageError there is none, or it needs a guest that runs. */
function step(name: string, value: string): Step {
  const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (operation) return { name, value, ...operation };
  const known = NEED_A_GUEST.some(each => each === name);
  throw new UsageError(
    known ? `--${name}: needs a running guest, and none is started here` : `${name}: unknown`,
  );
}

/** `NAME VALUE` on lines; a backslash at the end goes on, `#` begins a comment. */
function stepsIn(file: string): Step[] {
  try {
    const lines = readFileSync(file, 'utf8').replace(/\\\n/g, '').split('\n');
    return lines.flatMap(line => {
      const [, name, value] = /^\s*([^\s#]\S*)(?:\s+(.*))?$/.exec(line) ?? [];
      return name === undefined ? [] : step(name, value ?? '');
    });
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${file}: ${error.message}`);
    throw new BlockError(errnoOf(error), `${file}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The option before what is wrong with it. */
function named(name: string, error: unknown): unknown {
  const words = error instanceof Error ? error.message : String(error);
  const whole = words.startsWith(`--${name}`) ? words : `--${name}: ${words}`;
  if (error instanceof UsageError) return new UsageError(whole);
  return error instanceof BlockError ? new BlockError(error.errno, whole, { cause: error }) : error;
}
