import { UsageError } from '../../block/errors.ts';
import type { CommandLine, Options } from '../cli.ts';
import { CONNECTING_OPTIONS, type Connecting, connectingOf, wholeNumber } from '../connecting.ts';
import { STANDARD } from '../standard.ts';

export const OPTIONS = {
  ...CONNECTING_OPTIONS,
  delete: { names: ['delete'], value: 'required' },
  list: { names: ['list'] },
  readOnly: { names: ['r', 'readonly', 'read-only'] },
  recover: { names: ['recover'] },
  recoverable: { names: ['recoverable'] },
  verbose: { names: ['v', 'verbose'] },
  ...STANDARD,
} as const satisfies Options;

type Key = keyof typeof OPTIONS;

export interface Settings {
  readonly connecting: Connecting;
  /** The number of a device that is to go. */
  readonly remove: number | undefined;
  readonly list: boolean;
  readonly readOnly: boolean;
  /** The device is there, and its process has been killed. */
  readonly recover: boolean;
  /** When this process is killed, requests wait for another one. */
  readonly recoverable: boolean;
  readonly verbose: boolean;
}

const MANY = 2 ** 20 - 1;
const PREFIX = '/dev/ublkb';

/** @throws UsageError */
export function readSettings(given: CommandLine<Key>['given']): Settings {
  const has = (key: Key) => given.some(option => option.key === key);
  const remove = given.findLast(({ key }) => key === 'delete')?.value;
  return {
    connecting: connectingOf(given),
    remove: remove === undefined ? undefined : deviceNumber(remove),
    list: has('list'),
    readOnly: has('readOnly'),
    recover: has('recover'),
    recoverable: has('recoverable'),
    verbose: has('verbose'),
  };
}

/** The number in the name of a device, or by itself; undefined for `-`. @throws UsageError */
export function wantedDevice(word: string): number | undefined {
  return word === '-' ? undefined : deviceNumber(word);
}

function deviceNumber(word: string): number {
  const number = word.startsWith(PREFIX) ? word.slice(PREFIX.length) : word;
  if (!/^\d+$/.test(number)) {
    throw new UsageError(`${word}: expected ${PREFIX}N, a number, or - for any device`);
  }
  return wholeNumber(word, number, 0, MANY);
}
