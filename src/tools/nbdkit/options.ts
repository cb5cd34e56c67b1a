import { UsageError } from '../../block/errors.ts';
import { DEFAULT_PORT, MAX_STRING } from '../../protocol/constants.ts';
import { COMPLETION, type CommandLine, type Options } from '../cli.ts';

export const OPTIONS = {
  help: { names: ['help'] },
  version: { names: ['V', 'version'] },
  dumpConfig: { names: ['dump-config'] },
  dumpPlugin: { names: ['dump-plugin'] },
  ipv4Only: { names: ['4', 'ipv4-only'] },
  ipv6Only: { names: ['6', 'ipv6-only'] },
  address: { names: ['i', 'ipaddr', 'ip-addr'], value: 'required' },
  port: { names: ['p', 'port'], value: 'required' },
  unix: { names: ['U', 'unix'], value: 'required' },
  vsock: { names: ['vsock'] },
  single: { names: ['s', 'single', 'stdin'] },
  exportName: {
    names: ['e', 'exportname', 'export', 'export-name'],
    value: 'required',
  },
  filter: { names: ['filter'], value: 'required' },
  foreground: { names: ['f', 'foreground', 'no-fork'] },
  exitWithParent: { names: ['exit-with-parent'] },
  pidFile: { names: ['P', 'pidfile', 'pid-file'], value: 'required' },
  printUri: { names: ['print-uri', 'print-url', 'show-uri', 'show-url'] },
  run: { names: ['run'], value: 'required' },
  readOnly: { names: ['r', 'readonly', 'read-only'] },
  threads: { names: ['t', 'threads'], value: 'required' },
  newstyle: { names: ['n', 'newstyle', 'new-style'] },
  oldstyle: { names: ['o', 'oldstyle', 'old-style'] },
  maskHandshake: { names: ['mask-handshake'], value: 'required' },
  noStructuredReplies: { names: ['no-sr', 'no-structured-replies'] },
  noMetaContexts: { names: ['no-mc', 'no-meta-contexts'] },
  log: { names: ['log'], value: 'required' },
  verbose: { names: ['v', 'verbose'] },
  debug: { names: ['D', 'debug'], value: 'required' },
  user: { names: ['u', 'user'], value: 'required' },
  group: { names: ['g', 'group'], value: 'required' },
  swap: { names: ['swap'] },
  keepalive: { names: ['keepalive', 'keep-alive'] },
  timeout: { names: ['timeout', 'time-out'], value: 'required' },
  selinuxLabel: { names: ['selinux-label'], value: 'required' },
  tls: { names: ['tls'], value: 'required' },
  tlsCertificates: { names: ['tls-certificates'], value: 'required' },
  tlsPsk: { names: ['tls-psk'], value: 'required' },
  tlsVerifyPeer: { names: ['tls-verify-peer'] },
  ...COMPLETION,
} as const satisfies Options;

export type OptionKey = keyof typeof OPTIONS;

const UNSUPPORTED: readonly OptionKey[] = [
  'vsock',
  'swap',
  'keepalive',
  'timeout',
  'selinuxLabel',
  'tlsCertificates',
  'tlsPsk',
  'tlsVerifyPeer',
];

/** How clients reach the server. */
export type Where =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'inherited'; readonly count: number }
  /** No path: a private socket, made for this run. */
  | { readonly kind: 'unix'; readonly path: string | undefined }
  | {
      readonly kind: 'tcp';
      readonly port: number;
      readonly address: string | undefined;
      readonly family: 4 | 6 | undefined;
    };

/** What the options say about serving. */
export interface Settings {
  readonly where: Where;
  readonly exportName: string;
  readonly filters: readonly string[];
  readonly background: boolean;
  readonly exitWithParent: boolean;
  readonly pidFile: string | undefined;
  readonly printUri: boolean;
  readonly run: string | undefined;
  readonly readOnly: boolean;
  readonly threads: number | undefined;
  readonly oldstyle: boolean;
  readonly maskHandshake: number | undefined;
  readonly noStructuredReplies: boolean;
  readonly noMetaContexts: boolean;
  readonly log: LogTarget;
  readonly verbose: boolean;
  readonly debugFlags: readonly DebugFlag[];
  readonly user: string | undefined;
  readonly group: string | undefined;
}

/** Where errors go; 'default' is stderr in the foreground and syslog in the background. */
export type LogTarget = 'default' | 'stderr' | 'syslog' | 'null' | { readonly file: string };

export interface DebugFlag {
  readonly part: string;
  readonly flag: string;
  readonly value: number;
}

/** The last value of each option, and whether it was given at all. */
export class Given {
  readonly #given: CommandLine<OptionKey>['given'];

  constructor(given: CommandLine<OptionKey>['given']) {
    this.#given = given;
  }

  has(key: OptionKey): boolean {
    return this.#given.some(option => option.key === key);
  }

  value(key: OptionKey): string | undefined {
    return this.#given.findLast(option => option.key === key)?.value;
  }

  values(key: OptionKey): string[] {
    return this.#given.filter(option => option.key === key).map(option => option.value!);
  }

  /** Which of the options was given last. */
  last<K extends OptionKey>(...keys: K[]): K | undefined {
    return this.#given.findLast(option => keys.includes(option.key as K))?.key as K | undefined;
  }
}

/**
 * @param inherited how many listening sockets the parent has passed on.
 * @throws UsageError
 */
export function readSettings(given: Given, inherited: number): Settings {
  for (const key of UNSUPPORTED) {
    if (given.has(key)) throw new UsageError(`--${OPTIONS[key].names.at(-1)} is not supported yet`);
  }
  const tls = given.value('tls') ?? 'off';
  if (tls !== 'off') throw new UsageError(`--tls=${tls} is not supported yet: expected off`);
  const where = readWhere(given, inherited);
  const foreground =
    where.kind === 'stdio' ||
    where.kind === 'inherited' ||
    given.last('foreground', 'run', 'exitWithParent') !== undefined;
  const printUri = given.has('printUri');
  if (printUri && where.kind === 'stdio') {
    throw new UsageError('--print-uri cannot be used with -s: standard output carries NBD');
  }
  return {
    where,
    exportName: exportNameOf(given.value('exportName') ?? ''),
    filters: given.values('filter'),
    background: !foreground,
    exitWithParent: given.has('exitWithParent'),
    pidFile: given.value('pidFile'),
    printUri,
    run: given.value('run'),
    readOnly: given.has('readOnly'),
    threads: number(given, 'threads', 0, 2 ** 31 - 1) || undefined,
    oldstyle: given.last('oldstyle', 'newstyle') === 'oldstyle',
    maskHandshake: number(given, 'maskHandshake', 0, 0xffff),
    noStructuredReplies: given.has('noStructuredReplies'),
    noMetaContexts: given.has('noMetaContexts'),
    log: readLog(given.value('log')),
    verbose: given.has('verbose'),
    debugFlags: given.values('debug').map(readDebugFlag),
    user: given.value('user'),
    group: given.value('group'),
  };
}

/** Options that say where the server listens, or that it must listen: one way at a time. */
function readWhere(given: Given, inherited: number): Where {
  const refuse = (one: OptionKey, other: OptionKey) => {
    if (!given.has(one) || !given.has(other)) return;
    const [a, b] = [one, other].map(key => `--${OPTIONS[key as OptionKey].names[1] ?? key}`);
    throw new UsageError(`${a} and ${b} cannot be used together`);
  };
  if (inherited > 0) {
    const clash = given.last('address', 'port', 'run', 'single', 'unix');
    if (clash !== undefined) {
      const name = OPTIONS[clash].names.at(-1);
      throw new UsageError(`--${name} cannot be used with socket activation (LISTEN_FDS)`);
    }
    return { kind: 'inherited', count: inherited };
  }
  refuse('port', 'unix');
  refuse('address', 'unix');
  for (const other of ['port', 'address', 'unix', 'run'] as const) refuse('single', other);
  if (given.has('single')) return { kind: 'stdio' };
  const unix = given.value('unix');
  const overTcp = given.last('port', 'address', 'ipv4Only', 'ipv6Only') !== undefined;
  if (unix === '') throw new UsageError('--unix: the path must not be empty');
  if (unix !== undefined || (given.has('run') && !overTcp)) {
    return { kind: 'unix', path: unix === '-' ? undefined : unix };
  }
  const family = { ipv4Only: 4, ipv6Only: 6 } as const;
  const chosen = given.last('ipv4Only', 'ipv6Only');
  return {
    kind: 'tcp',
    port: number(given, 'port', 0, 65535) ?? DEFAULT_PORT,
    address: given.value('address') || undefined,
    family: chosen && family[chosen],
  };
}

function number(
  given: Given,
  key: OptionKey,
  minimum: number,
  maximum: number,
): number | undefined {
  const text = given.value(key);
  if (text === undefined) return undefined;
  const value = /^(?:\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  const right = `expected a whole number from ${minimum} to ${maximum}`;
  throw new UsageError(`--${OPTIONS[key].names.at(-1)}: cannot parse '${text}': ${right}`);
}

function readLog(text = 'default'): LogTarget {
  if (text === 'default' || text === 'stderr' || text === 'syslog' || text === 'null') return text;
  if (text.startsWith('/')) return { file: text };
  const right = 'expected stderr, syslog, null, default or an absolute path';
  throw new UsageError(`--log: unknown value '${text}': ${right}`);
}

function readDebugFlag(text: string): DebugFlag {
  const match = /^([^.=]+)\.([^=]+)=(-?\d{1,10})$/.exec(text);
  if (!match) throw new UsageError(`-D: cannot parse '${text}': expected NAME.FLAG=N`);
  return { part: match[1]!, flag: match[2]!, value: Number(match[3]) };
}

function exportNameOf(name: string): string {
  if (Buffer.byteLength(name) <= MAX_STRING) return name;
  throw new UsageError(`--exportname: too long: expected at most ${MAX_STRING} bytes`);
}
