import type { CommandLine, Options } from '../cli.ts';
import { CONNECTING_OPTIONS, type Connecting, connectingOf } from '../connecting.ts';
import { STANDARD } from '../standard.ts';
import { type FuseWishes, fuseWishes } from './fuse-options.ts';

export const OPTIONS = {
  allExports: { names: ['all-exports'] },
  ...CONNECTING_OPTIONS,
  fuseHelp: { names: ['fuse-help'] },
  fuseOption: { names: ['o'], value: 'required' },
  pidFile: { names: ['P', 'pidfile', 'pid-file'], value: 'required', values: 'file' },
  readOnly: { names: ['r', 'readonly', 'read-only'] },
  single: { names: ['s'] },
  verbose: { names: ['d', 'v', 'verbose'] },
  ...STANDARD,
} as const satisfies Options;

type Key = keyof typeof OPTIONS;

export interface Settings {
  /** Each export of the server is a file of its own. */
  readonly allExports: boolean;
  readonly connecting: Connecting;
  readonly fuse: FuseWishes;
  readonly pidFile: string | undefined;
  readonly readOnly: boolean;
  /** One request after the other. */
  readonly single: boolean;
  readonly verbose: boolean;
}

/** @throws UsageError */
export function readSettings(given: CommandLine<Key>['given']): Settings {
  const has = (key: Key) => given.some(option => option.key === key);
  const last = (key: Key) => given.findLast(option => option.key === key)?.value;
  const fuse = fuseWishes(given.flatMap(({ key, value }) => (key === 'fuseOption' ? value! : [])));
  return {
    allExports: has('allExports'),
    connecting: connectingOf(given),
    fuse,
    pidFile: last('pidFile'),
    readOnly: has('readOnly') || fuse.readOnly,
    single: has('single'),
    verbose: has('verbose') || fuse.verbose,
  };
}
