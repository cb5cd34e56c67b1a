/** NBD URIs as the document "The NBD URI format" has them: parsed and printed, no I/O. */
import { UsageError } from '../block/errors.ts';
import { DEFAULT_PORT } from './constants.ts';
import { harmless } from './text.ts';

/** The CID of the host, as a virtual machine sees it. */
const VSOCK_HOST = 2;
const MAX_NAME_BYTES = 4096;

/** What an NBD URI says. */
export interface NbdUri {
  readonly address: UriAddress | SshAddress;
  /** The connection must be encrypted. */
  readonly tls: boolean;
  /** "" is the default export. */
  readonly exportName: string;
  readonly tlsOptions: UriTlsOptions;
}

/** A Unix socket (abstract when its path begins with NUL), TCP, or AF_VSOCK. */
export type UriAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly cid: number; readonly port: number };

/** A server as it is seen from a machine that ssh leads to. */
export interface SshAddress {
  /** That machine; neither this nor the user begins with a dash, which ssh takes for an option. */
  readonly ssh: string;
  readonly sshPort?: number | undefined;
  readonly user?: string | undefined;
  /** A Unix socket by its absolute path, or a TCP port. */
  readonly there: { readonly path: string } | { readonly port: number };
}

export interface UriTlsOptions {
  readonly type?: 'anon' | 'x509' | 'psk' | undefined;
  /** The name to check the server's certificate against. */
  readonly hostname?: string | undefined;
  readonly verifyPeer?: boolean | undefined;
  /** A directory of certificates and keys. */
  readonly certificates?: string | undefined;
  readonly pskFile?: string | undefined;
  readonly username?: string | undefined;
}

/** Whether a word on a command line is meant as an NBD URI rather than as a file. */
export function isNbdUri(text: string): boolean {
  return /^nbds?(?:\+(?:unix|vsock|ssh))?:/i.test(text);
}

/** Whether a word is an address on the web, where disks are files. */
export function isWebUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

interface Parts {
  readonly tls: boolean;
  readonly transport: string;
  readonly user: string | undefined;
  readonly host: string;
  readonly port: string | undefined;
  readonly path: string;
  readonly query: ReadonlyMap<string, string>;
}

const SCHEME = /^([a-z][a-z\d+.-]*):/i;
const AFTER_SCHEME = /^\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/;
const AUTHORITY = /^(?:([^@[\]]*)@)?(\[[\da-f:.]+(?:%25[\w.~-]+)?\]|[^@:[\]]*)(?::(\d+))?$/i;
const NOT_IN_A_URI = /[^A-Za-z\d_.~:/?#[\]@!$&'()*+,;=%-]|%(?![\dA-Fa-f]{2})/u;

/**
 * @throws UsageError what was wrong with the URI and what would be right.
 */
export function parseNbdUri(text: string): NbdUri {
  try {
    const parts = splitUri(text);
    return {
      address: addressOf(parts),
      tls: parts.tls,
      exportName: exportNameOf(parts.path),
      tlsOptions: tlsOptionsOf(parts),
    };
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${shown(text)}: ${error.message}`);
    throw error;
  }
}

function splitUri(text: string): Parts {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    throw new UsageError('not an NBD URI: expected nbd://, nbds:// or nbd+unix:// first');
  }
  const known = /^(nbds?)(?:\+(unix|vsock|ssh))?$/.exec(scheme);
  if (!known) {
    const right = 'expected nbd or nbds, alone or with +unix, +vsock or +ssh';
    throw new UsageError(`unknown scheme '${scheme}': ${right}`);
  }
  const strange = NOT_IN_A_URI.exec(text)?.[0];
  if (strange === '%') throw new UsageError("'%' must be followed by two hexadecimal digits");
  if (strange !== undefined) {
    const right = `write it as ${encode(strange, '')}`;
    throw new UsageError(`${shown(strange)} is not allowed in a URI: ${right}`);
  }
  const rest = text.slice(scheme.length + 1);
  if (!rest.startsWith('//')) throw new UsageError(`must begin with '${scheme}://'`);
  const match = AFTER_SCHEME.exec(rest);
  if (!match) throw new UsageError("an NBD URI has no '#' part: write '#' in a name as %23");
  const [, authority, path, query] = match;
  const named = AUTHORITY.exec(authority!);
  if (!named)
    throw new UsageError(`cannot parse '${authority}': expected HOST, HOST:PORT or [IPv6]`);
  return {
    tls: known[1] === 'nbds',
    transport: known[2] ?? 'tcp',
    user: named[1] === undefined ? undefined : decode('user name', named[1]),
    host: decode('host', named[2]!),
    port: named[3],
    path: path!,
    query: queryOf(query ?? ''),
  };
}

const PARAMETERS: ReadonlySet<string> = new Set([
  'socket',
  'nbd-port',
  'tls-type',
  'tls-hostname',
  'tls-verify-peer',
  'tls-certificates',
  'tls-psk-file',
  'tls-username',
]);

/** The parameters by name; experimental ones, `x-NAME`, are passed over. */
function queryOf(query: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const pair of query.split(/[&;]/)) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const key = decode('parameter', equals < 0 ? pair : pair.slice(0, equals));
    if (key.startsWith('x-')) continue;
    if (!PARAMETERS.has(key)) throw new UsageError(unknownParameter(key));
    if (values.has(key)) throw new UsageError(`parameter '${key}': given more than once`);
    values.set(key, equals < 0 ? '' : decode(key, pair.slice(equals + 1)));
  }
  return values;
}

function unknownParameter(key: string): string {
  return `unknown parameter ${shown(key)}: expected one of ${[...PARAMETERS].join(', ')}`;
}

function addressOf(parts: Parts): UriAddress | SshAddress {
  const { transport, host, port, query, tls } = parts;
  if (transport === 'ssh') return sshAddressOf(parts);
  if (query.has('nbd-port')) throw new UsageError("the parameter 'nbd-port' needs nbd+ssh");
  const socket = query.get('socket');
  if (transport === 'unix') {
    if (!socket) {
      const right = `nbd${tls ? 's' : ''}+unix:///EXPORT?socket=PATH`;
      throw new UsageError(`the parameter 'socket' is missing: expected ${right}`);
    }
    if (socket.slice(1).includes('\0')) throw new UsageError('socket: a path has no NUL in it');
    return { path: socket };
  }
  if (socket !== undefined) {
    throw new UsageError("the parameter 'socket' needs the scheme nbd+unix or nbds+unix");
  }
  if (transport === 'vsock') {
    const cid = host === '' ? VSOCK_HOST : wholeNumber('CID', host, 0);
    return { cid, port: port === undefined ? DEFAULT_PORT : wholeNumber('port', port, 0) };
  }
  return {
    host: host === '' ? 'localhost' : host.replace(/^\[(.*)\]$/, '$1'),
    port: port === undefined ? DEFAULT_PORT : wholeNumber('port', port, 1, 65535),
  };
}

function sshAddressOf({ host, port, user, query }: Parts): SshAddress {
  const ssh = host.replace(/^\[(.*)\]$/, '$1');
  if (ssh === '') throw new UsageError('the host is missing: expected nbd+ssh://HOST/EXPORT');
  for (const [what, word] of [
    ['host', ssh],
    ['user name', user ?? ''],
  ]) {
    if (word!.startsWith('-')) throw new UsageError(`${what}: must not begin with '-'`);
    if (/[\p{Cc}\s]/u.test(word!)) throw new UsageError(`${what}: must have no spaces in it`);
  }
  return {
    ssh,
    sshPort: port === undefined ? undefined : wholeNumber('port', port, 1, 65535),
    user: user === '' ? undefined : user,
    there: thereOf(query.get('socket'), query.get('nbd-port')),
  };
}

function thereOf(path: string | undefined, port: string | undefined): SshAddress['there'] {
  if (path === undefined) {
    return { port: port === undefined ? DEFAULT_PORT : wholeNumber('nbd-port', port, 1, 65535) };
  }
  if (port !== undefined) throw new UsageError("give either 'socket' or 'nbd-port'");
  if (path.startsWith('/') && !path.includes('\0')) return { path };
  throw new UsageError(`socket: cannot use ${shown(path)}: expected an absolute path`);
}

function wholeNumber(what: string, text: string, minimum: number, maximum = 2 ** 32 - 1): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  const right = `expected a whole number from ${minimum} to ${maximum}`;
  throw new UsageError(`${what}: cannot parse '${text}': ${right}`);
}

function exportNameOf(path: string): string {
  const name = decode('export name', path.slice(1));
  if (name.includes('\0')) throw new UsageError('export name: must not contain NUL (%00)');
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new UsageError(`export name: longer than ${MAX_NAME_BYTES} bytes`);
  }
  return name;
}

function tlsOptionsOf({ transport, user, query }: Parts): UriTlsOptions {
  const type = query.get('tls-type');
  if (type !== undefined && type !== 'anon' && type !== 'x509' && type !== 'psk') {
    throw new UsageError(`tls-type: unknown value '${type}': expected anon, x509 or psk`);
  }
  const verify = query.get('tls-verify-peer');
  if (verify !== undefined && verify !== '0' && verify !== '1') {
    throw new UsageError(`tls-verify-peer: unknown value '${verify}': expected 0 or 1`);
  }
  return {
    type,
    hostname: query.get('tls-hostname'),
    verifyPeer: verify === undefined ? undefined : verify === '1',
    certificates: query.get('tls-certificates'),
    pskFile: query.get('tls-psk-file'),
    // With ssh it is the name there.
    username: query.get('tls-username') ?? (transport === 'ssh' ? undefined : user),
  };
}

function decode(what: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`${what}: '${text}' does not decode to UTF-8`);
  }
}

/** Text from outside for an error message: on one line, and not endless. */
function shown(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 200)}...` : text;
  return `'${harmless(wellFormed(short))}'`;
}

/** The URI, with everything percent-encoded that must be. `parseNbdUri` gives back the same. */
export function formatNbdUri(uri: NbdUri): string {
  const { address, exportName, tlsOptions } = uri;
  const ssh = 'ssh' in address ? address : undefined;
  const username = ssh ? ssh.user : tlsOptions.username;
  const user = username === undefined ? '' : `${encode(username, ';:&=+$,')}@`;
  const query: string[] = [];
  const add = (key: string, value: string | undefined) => {
    if (value !== undefined) query.push(`${key}=${encode(value, '/:@,$')}`);
  };
  const there = ssh?.there ?? address;
  if ('path' in there) add('socket', there.path);
  if (ssh && 'port' in ssh.there && ssh.there.port !== DEFAULT_PORT) {
    add('nbd-port', String(ssh.there.port));
  }
  add('tls-type', tlsOptions.type);
  add('tls-hostname', tlsOptions.hostname);
  if (tlsOptions.verifyPeer !== undefined)
    add('tls-verify-peer', tlsOptions.verifyPeer ? '1' : '0');
  add('tls-certificates', tlsOptions.certificates);
  add('tls-psk-file', tlsOptions.pskFile);
  if (ssh) add('tls-username', tlsOptions.username);
  const scheme = `nbd${uri.tls ? 's' : ''}${TRANSPORTS[transportOf(address)]}`;
  const place = `${user}${hostAndPort(address)}/${encode(exportName, '/;@&=+$,')}`;
  return `${scheme}://${place}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

/** How a server is reached. */
export type UriTransport = 'tcp' | 'unix' | 'vsock' | 'ssh';

const TRANSPORTS = { tcp: '', unix: '+unix', vsock: '+vsock', ssh: '+ssh' } as const;

function transportOf(address: NbdUri['address']): UriTransport {
  if ('ssh' in address) return 'ssh';
  return 'path' in address ? 'unix' : 'cid' in address ? 'vsock' : 'tcp';
}

function hostAndPort(address: NbdUri['address']): string {
  if ('path' in address) return '';
  if ('ssh' in address) {
    return hostOf(address.ssh) + (address.sshPort === undefined ? '' : `:${address.sshPort}`);
  }
  if ('cid' in address) return `${address.cid}:${address.port}`;
  return `${hostOf(address.host)}:${address.port}`;
}

const hostOf = (host: string) =>
  host.includes(':') ? `[${host.replace('%', '%25')}]` : encode(host, '');

/** Percent-encodes all but letters, digits, -_.!~*'() and the characters of `also`. */
function encode(text: string, also: string): string {
  return encodeURIComponent(wellFormed(text)).replace(/%[\dA-F]{2}/g, code => {
    const character = String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return also.includes(character) ? character : code;
  });
}

/** Half a surrogate pair becomes U+FFFD. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}

/** What a URI may ask for that comes from somebody who is not trusted; all of it unless said. */
export interface UriLimits {
  /** How the server may be reached. */
  readonly transports?: readonly UriTransport[] | undefined;
  /** Whether connections must, may or must not be encrypted; they may unless said. */
  readonly tls?: 'require' | 'allow' | 'refuse' | undefined;
  /** Whether files of this machine may be named: keys and certificates. */
  readonly localFiles?: boolean | undefined;
}

/** What a URI asks for beyond the limits, in words. */
export function beyondLimits(
  { address, tls, tlsOptions }: NbdUri,
  { transports, tls: encryption = 'allow', localFiles = true }: UriLimits,
): string | undefined {
  const transport = transportOf(address);
  if (transports && !transports.includes(transport)) {
    return `reaches a server by ${transport}, which is not allowed`;
  }
  if (tls && encryption === 'refuse') return 'asks for TLS, which is not allowed';
  if (!tls && encryption === 'require') return 'does not ask for TLS, which is required';
  if (localFiles) return undefined;
  const names = tlsOptions.pskFile !== undefined || tlsOptions.certificates !== undefined;
  return names ? 'names a local file, which is not allowed' : undefined;
}
