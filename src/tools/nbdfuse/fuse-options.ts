/** What stands after -o: options of FUSE, as libfuse has them. */
import { UsageError } from '../../block/errors.ts';
import { nearest } from '../nearest.ts';

export interface FuseWishes {
  readonly readOnly: boolean;
  readonly executable: boolean;
  readonly autoUnmount: boolean;
  /** Nobody but root and who runs this may use it, although the kernel would let others. */
  readonly allowRoot: boolean;
  /** Options of the kernel's. */
  readonly kernel: readonly string[];
  readonly source: string;
  readonly type: string;
  readonly keepCache: boolean;
  readonly directIo: boolean;
  readonly verbose: boolean;
  readonly umask: number;
  /** The owner of the files; undefined: who runs this. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** In seconds. */
  readonly entryTimeout: number;
  readonly attributeTimeout: number;
}

/** Options without a value, and what they are for. */
const FLAGS = {
  allow_other: 'other users may use the files',
  allow_root: 'root may use the files',
  auto_unmount: 'unmount when nbdfuse is killed',
  auto_cache: 'as kernel_cache: a disk has no time of change',
  default_permissions: 'the kernel checks permissions',
  debug: 'as -v',
  direct_io: 'the kernel keeps nothing of the files',
  exec: 'programs may be run',
  kernel_cache: 'the kernel keeps what it has read when a file is closed',
  noexec: 'programs may not be run',
  ro: 'as -r',
} as const;

/** Options with a value, and what it is. */
const VALUES = {
  attr_timeout: 'T      seconds that sizes and the like are kept',
  entry_timeout: 'T     seconds that names are kept',
  fsname: 'NAME         what lists of mounts call it',
  gid: 'N               group of the files',
  max_read: 'N          longest read in bytes',
  subtype: 'NAME        its type, after "fuse."',
  uid: 'N               owner of the files',
  umask: 'M             permissions to take away (octal)',
} as const;

/** Nothing here depends on these. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'ac_attr_timeout',
  'async',
  'atime',
  'big_writes',
  'clone_fd',
  'dev',
  'max_idle_threads',
  'max_threads',
  'negative_timeout',
  'noatime',
  'noauto_cache',
  'nodev',
  'noforget',
  'no_rofd_flush',
  'nosuid',
  'remember',
  'rw',
]);

type Flag = keyof typeof FLAGS;
type Value = keyof typeof VALUES;

const KERNEL_FLAGS = ['allow_other', 'default_permissions'] as const;
const WORDS = [...Object.keys(FLAGS), ...Object.keys(VALUES)];

/** @param words the values of -o, each some options with commas between. @throws UsageError */
export function fuseWishes(words: readonly string[]): FuseWishes {
  const given = new Map(words.flatMap(word => word.split(',')).map(understood));
  const has = (flag: Flag) => given.has(flag);
  const number = (key: Value, pattern: RegExp, base = 10) => numberOf(given, key, pattern, base);
  const whole = /^\d{1,10}$/;
  const seconds = /^\d{1,9}(\.\d+)?$/;
  const maxRead = number('max_read', whole);
  return {
    readOnly: has('ro'),
    executable: !has('noexec'),
    autoUnmount: has('auto_unmount'),
    allowRoot: has('allow_root') && !has('allow_other'),
    kernel: [
      ...KERNEL_FLAGS.filter(has),
      ...(has('allow_root') && !has('allow_other') ? ['allow_other'] : []),
      ...(maxRead === undefined ? [] : [`max_read=${maxRead}`]),
    ],
    source: given.get('fsname') || 'nbdfuse',
    type: given.get('subtype') || 'nbdfuse',
    keepCache: has('kernel_cache') || has('auto_cache'),
    directIo: has('direct_io'),
    verbose: has('debug'),
    umask: number('umask', /^[0-7]{1,4}$/, 8) ?? 0,
    uid: number('uid', whole),
    gid: number('gid', whole),
    entryTimeout: number('entry_timeout', seconds) ?? 1,
    attributeTimeout: number('attr_timeout', seconds) ?? 1,
  };
}

function understood(word: string): [name: string, value: string | undefined] {
  const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const known = Object.hasOwn(FLAGS, name) || Object.hasOwn(VALUES, name);
  if (!known && !WITHOUT_EFFECT.has(name)) {
    const close = nearest(name, WORDS);
    const hint = close === undefined ? 'see --fuse-help' : `did you mean '${close}'?`;
    throw new UsageError(`-o: unknown option '${name}': ${hint}`);
  }
  if (Object.hasOwn(FLAGS, name) && value !== undefined) {
    throw new UsageError(`-o: option '${name}' takes no value`);
  }
  if (Object.hasOwn(VALUES, name) && !value) {
    throw new UsageError(`-o: option '${name}' needs a value`);
  }
  return [name, value];
}

function numberOf(
  given: ReadonlyMap<string, string | undefined>,
  key: Value,
  pattern: RegExp,
  base: number,
): number | undefined {
  const text = given.get(key);
  if (text === undefined) return undefined;
  if (!pattern.test(text)) throw new UsageError(`-o: ${key}: cannot parse '${text}'`);
  return base === 8 ? Number.parseInt(text, base) : Number(text);
}

/** What --fuse-help says. */
export function fuseHelp(): string {
  const flags = Object.entries(FLAGS).map(
    ([name, words]) => `    -o ${name.padEnd(22)} ${words}\n`,
  );
  const values = Object.entries(VALUES).map(([name, words]) => {
    const [placeholder, ...rest] = words.split(/\s{2,}/);
    return `    -o ${`${name}=${placeholder}`.padEnd(22)} ${rest.join(' ')}\n`;
  });
  return `FUSE options, several with commas between:\n${[...flags, ...values].join('')}`;
}
