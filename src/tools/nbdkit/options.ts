import { messageOf, UsageError } from '../../block/errors.ts';
import { parseDelay } from '../../declare/parameters.ts';
import { DEFAULT_PORT, MAX_STRING } from '../../protocol/constants.ts';
import type { CommandLine, Options } from '../cli.ts';
import { builtIn } from '../load.ts';
import { STANDARD } from '../standard.ts';
import { readTlsMode, type TlsSettings } from './tls.ts';

const { help, version, ...QUESTIONS } = STANDARD;

/** In the order of the C nbdkit, and each with its usual long name first. */
export const OPTIONS = {
  ipv4Only: { names: ['4', 'ipv4-only'] },
  ipv6Only: { names: ['6', 'ipv6-only'] },
  debug: { names: ['D', 'debug'], value: 'required', values: [] },
  dumpConfig: { names: ['dump-config'] },
  dumpPlugin: { names: ['dump-plugin'] },
  exitWithParent: { names: ['exit-with-parent'] },
  exportName: {
    names: ['e', 'exportname', 'export', 'export-name'],
    value: 'required',
    values: [],
  },
  filter: { names: ['filter'], value: 'required', values: () => builtIn('filter') },
  foreground: { names: ['f', 'foreground', 'no-fork'] },
  group: { names: ['g', 'group'], value: 'required', values: [] },
  help,
  address: { names: ['i', 'ipaddr', 'ip-addr'], value: 'required', values: [] },
  keepalive: { names: ['keepalive', 'keep-alive'] },
  log: { names: ['log'], value: 'required', values: ['stderr', 'syslog', 'null', 'default'] },
  maskHandshake: { names: ['mask-handshake'], value: 'required', values: [] },
  newstyle: { names: ['n', 'newstyle', 'new-style'] },
  noMetaContexts: { names: ['no-mc', 'no-meta-contexts'] },
  noSharedMemory: { names: ['no-shared-memory'] },
  noStructuredReplies: { names: ['no-sr', 'no-structured-replies'] },
  oldstyle: { names: ['o', 'oldstyle', 'old-style'] },
  pidFile: { names: ['P', 'pidfile', 'pid-file'], value: 'required', values: 'file' },
  port: { names: ['p', 'port'], value: 'required', values: [] },
  printUri: { names: ['print-uri', 'print-url', 'show-uri', 'show-url'] },
  readOnly: { names: ['r', 'readonly', 'read-only'] },
  run: { names: ['run'], value: 'required', values: [] },
  selinuxLabel: { names: ['selinux-label'], value: 'required', values: [] },
  single: { names: ['s', 'single', 'stdin'] },
  swap: { names: ['swap'] },
  threads: { names: ['t', 'threads'], value: 'required', values: [] },
  timeout: { names: ['timeout', 'time-out'], value: 'required', values: [] },
  tls: { names: ['tls'], value: 'required', values: ['off', 'on', 'require'] },
  tlsCertificates: { names: ['tls-certificates'], value: 'required', values: 'folder' },
  tlsPsk: { names: ['tls-psk'], value: 'required', values: 'file' },
  tlsVerifyPeer: { names: ['tls-verify-peer'] },
  unix: { names: ['U', 'unix'], value: 'required', values: 'file' },
  user: { names: ['u', 'user'], value: 'required', values: [] },
  verbose: { names: ['v', 'verbose'] },
  version,
  vsock: { names: ['vsock'] },
  ...QUESTIONS,
} as const satisfies Options;

export type OptionKey = Extract<keyof typeof OPTIONS, string>;

/** `--port` and the like: the usual long name. */
const longName = (key: OptionKey) => `--${OPTIONS[key].names.find(name => name.length > 1)}`;

/** How clients reach the server. */
export type Where =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'inherited'; readonly count: number }
  /** No path: a private socket, made for this run. */
  | { readonly kind: 'unix'; readonly path: string | undefined }
  | { readonly kind: 'vsock'; readonly port: number }
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
  readonly noSharedMemory: boolean;
  readonly log: LogTarget;
  readonly verbose: boolean;
  readonly debugFlags: readonly DebugFlag[];
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly keepAlive: boolean;
  /** How long a handshake may take, in ms. */
  readonly handshakeTimeout: number | undefined;
  readonly selinuxLabel: string | undefined;
  /** Keep out of swap space. */
  readonly swap: boolean;
  readonly encryption: TlsSettings;
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
  const mode = readTlsMode(given.value('tls'));
  const oldstyle = given.last('oldstyle', 'newstyle') === 'oldstyle';
  if (oldstyle && mode === 'require') {
    throw new UsageError('--oldstyle and --tls=require cannot be used together');
  }
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
    oldstyle,
    maskHandshake: number(given, 'maskHandshake', 0, 0xffff),
    noStructuredReplies: given.has('noStructuredReplies'),
    noMetaContexts: given.has('noMetaContexts'),
    noSharedMemory: given.has('noSharedMemory'),
    log: readLog(given.value('log')),
    verbose: given.has('verbose'),
    debugFlags: given.values('debug').map(readDebugFlag),
    user: given.value('user'),
    group: given.value('group'),
    keepAlive: given.has('keepalive'),
    handshakeTimeout: readTimeout(given.value('timeout')),
    selinuxLabel: given.value('selinuxLabel'),
    swap: given.has('swap'),
    encryption: {
      mode,
      certificates: given.value('tlsCertificates'),
      psk: given.value('tlsPsk'),
      verifyPeer: given.has('tlsVerifyPeer'),
    },
  };
}

/** Options that say where the server listens, or that it must listen: one way at a time. */
function readWhere(given: Given, inherited: number): Where {
  const refuse = (one: OptionKey, ...others: OptionKey[]) => {
    const other = given.has(one) ? given.last(...others) : undefined;
    if (other === undefined) return;
    throw new UsageError(`${longName(one)} and ${longName(other)} cannot be used together`);
  };
  if (inherited > 0) {
    const clash = given.last('address', 'port', 'run', 'single', 'unix', 'vsock');
    if (clash !== undefined) {
      throw new UsageError(`${longName(clash)} cannot be used with socket activation (LISTEN_FDS)`);
    }
    return { kind: 'inherited', count: inherited };
  }
  refuse('unix', 'port', 'address', 'vsock');
  refuse('single', 'port', 'address', 'unix', 'vsock', 'run', 'dumpPlugin');
  if (given.has('single')) return { kind: 'stdio' };
  if (given.has('vsock')) {
    return { kind: 'vsock', port: number(given, 'port', 0, 2 ** 32 - 1) ?? DEFAULT_PORT };
  }
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
  throw new UsageError(`${longName(key)}: cannot parse '${text}': ${right}`);
}

/** Milliseconds; 0 is as long as it likes. */
function readTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseDelay(text) || undefined;
  } catch (error) {
    throw new UsageError(`--timeout: ${messageOf(error)}`);
  }
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
