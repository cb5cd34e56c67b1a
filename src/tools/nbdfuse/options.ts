import { UsageError } from '../../block/errors.ts';
import type { CommandLine, Options } from '../cli.ts';
import { STANDARD } from '../standard.ts';
import { type FuseWishes, fuseWishes } from './fuse-options.ts';

export const OPTIONS = {
  allExports: { names: ['all-exports'] },
  connections: { names: ['C', 'connections'], value: 'required' },
  fuseHelp: { names: ['fuse-help'] },
  fuseOption: { names: ['o'], value: 'required' },
  pidFile: { names: ['P', 'pidfile', 'pid-file'], value: 'required', values: 'file' },
  readOnly: { names: ['r', 'readonly', 'read-only'] },
  retries: { names: ['retries'], value: 'required' },
  single: { names: ['s'] },
  verbose: { names: ['d', 'v', 'verbose'] },
  ...STANDARD,
} as const satisfies Options;

type Key = keyof typeof OPTIONS;

export interface Settings {
  /** Each export of the server is a file of its own. */
  readonly allExports: boolean;
  /** Most connections to one export; undefined: as fits. */
  readonly connections: number | undefined;
  readonly fuse: FuseWishes;
  readonly pidFile: string | undefined;
  readonly readOnly: boolean;
  /** How often a lost connection is made again. */
  readonly retries: number;
  /** One request after the other. */
  readonly single: boolean;
  readonly verbose: boolean;
}

const MOST_CONNECTIONS = 1024;
const MANY = 2 ** 31 - 1;

/** @throws UsageError */
export function readSettings(given: CommandLine<Key>['given']): Settings {
  const has = (key: Key) => given.some(option => option.key === key);
  const last = (key: Key) => given.findLast(option => option.key === key)?.value;
  const fuse = fuseWishes(given.flatMap(({ key, value }) => (key === 'fuseOption' ? value! : [])));
  const connections = last('connections');
  const retries = last('retries');
  return {
    allExports: has('allExports'),
    connections:
      connections === undefined
        ? undefined
        : wholeNumber('--connections', connections, 1, MOST_CONNECTIONS),
    fuse,
    pidFile: last('pidFile'),
    readOnly: has('readOnly') || fuse.readOnly,
    retries: retries === undefined ? 0 : wholeNumber('--retries', retries, 0, MANY),
    single: has('single'),
    verbose: has('verbose') || fuse.verbose,
  };
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const right = `expected a whole number from ${least} to ${most}`;
  throw new UsageError(`${option}: cannot parse '${text}': ${right}`);
}
