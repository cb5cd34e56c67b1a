import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import type tls from 'node:tls';
import { rootCertificates } from 'node:tls';
import { BlockError, naming, reasonOf, UsageError } from '../../block/errors.ts';
import type { AgentOptions } from '../../http/agent.ts';
import type { WebProxy } from '../../http/dial.ts';
import type { TlsOptions } from '../../http/secure.ts';
import { AllowedHosts } from './allowed.ts';
import { basic } from './attendant.ts';
import type { Parameters } from './parameters.ts';

/** The address, and what of it must not be shown. @throws UsageError */
export function addressOf(text: string): { url: URL; user: string; password: string } {
  if (!URL.canParse(text)) throw new UsageError('url: cannot be parsed: expected http://HOST/PATH');
  const url = new URL(text);
  const { protocol, username, password } = url;
  if (protocol !== 'http:' && protocol !== 'https:') {
    const other = OTHER_PLUGINS[protocol];
    const hint = other === undefined ? '' : `, or the ${other} plugin`;
    throw new UsageError(`url: ${protocol} is not supported: expected http: or https:${hint}`);
  }
  url.username = '';
  url.password = '';
  url.hash = '';
  const decode = (part: string) => naming('url', () => decoded(part));
  return { url, user: decode(username), password: decode(password) };
}

const OTHER_PLUGINS: Readonly<Record<string, string>> = {
  'file:': 'file',
  'sftp:': 'ssh',
  'scp:': 'ssh',
  'nbd:': 'nbd',
};

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new UsageError("user or password: '%' must be followed by two hexadecimal digits");
  }
}

/** What the parameters say of connections. @throws UsageError */
export function agentOptions(
  parameters: Parameters,
  url: URL,
): Omit<AgentOptions, 'attendant' | 'debug'> {
  const { 'allow-hosts': hosts, protocols, 'unix-socket-path': unixSocket } = parameters;
  const allowed = hosts.length > 0 ? new AllowedHosts(hosts) : undefined;
  const schemes = schemesOf(protocols);
  const proxy = proxyOf(parameters, url);
  const { ipresolve } = parameters;
  if (unixSocket !== undefined && parameters.proxy) {
    throw new UsageError('unix-socket-path: excludes proxy');
  }
  return {
    connections: parameters.connections,
    timeout: parameters.timeout * 1000,
    family: ipresolve === 'any' ? undefined : ipresolve.endsWith('4') ? 4 : 6,
    addresses: addressesOf(parameters.resolve),
    unixSocket,
    keepAlive: parameters['tcp-keepalive'],
    noDelay: parameters['tcp-nodelay'],
    tls: tlsOf(parameters, parameters.cainfo, parameters.capath),
    proxyTls: tlsOf(parameters, parameters['proxy-cainfo'], parameters['proxy-capath']),
    proxy: unixSocket === undefined ? proxy : undefined,
    check: asked => {
      allowed?.checkUrl(asked);
      if (schemes.has(asked.protocol)) return;
      throw new BlockError('EACCES', `${asked.protocol} is not among protocols=${protocols}`);
    },
    ...(allowed && { checkAddress: (host, address) => allowed.checkAddress(host, address) }),
  };
}

/** Only those that are known here count. */
function schemesOf(protocols = 'http,https'): ReadonlySet<string> {
  const known = protocols
    .split(',')
    .map(each => each.trim().toLowerCase())
    .filter(each => each === 'http' || each === 'https');
  if (known.length > 0) return new Set(known.map(each => `${each}:`));
  throw new UsageError(`protocols: '${protocols}': expected http or https among them`);
}

/** `HOST:PORT:ADDRESS,ADDRESS`; IPv6 addresses may stand in brackets. */
function addressesOf(words: readonly string[]): Map<string, string[]> {
  const addresses = new Map<string, string[]>();
  for (const word of words) {
    const [, host, port, list = ''] = /^\+?([^:]+|\[[^\]]+\]):(\d+):(.+)$/.exec(word) ?? [];
    const found = list.split(',').map(each => each.replace(/^\[|\]$/g, ''));
    if (host === undefined || !found.every(net.isIP)) {
      throw new UsageError(`resolve: '${word}': expected HOST:PORT:ADDRESS`);
    }
    addresses.set(`${host}:${port}`.toLowerCase(), found);
  }
  return addresses;
}

/** By the parameter, or else by the environment, as curl and others know it. */
function proxyOf(parameters: Parameters, url: URL): WebProxy | undefined {
  const { env } = process;
  const ofScheme =
    url.protocol === 'https:' ? (env.https_proxy ?? env.HTTPS_PROXY) : env.http_proxy;
  const given = parameters.proxy ?? ofScheme ?? env.all_proxy ?? env.ALL_PROXY;
  if (!given) return undefined;
  const text = given.includes('://') ? given : `http://${given}`;
  if (!URL.canParse(text)) throw new UsageError('proxy: cannot be parsed: expected HOST:PORT');
  const address = new URL(text);
  const user = parameters['proxy-user'] ?? decoded(address.username);
  const password = parameters['proxy-password'] ?? decoded(address.password);
  const except = (env.no_proxy ?? env.NO_PROXY ?? '').split(',').map(each => each.trim());
  return {
    url: address,
    authorization: user === '' ? undefined : basic({ user, password }),
    concerns: ({ hostname }) => !except.some(name => covers(name.toLowerCase(), hostname)),
  };
}

/** Whether a word of NO_PROXY is about a host. */
function covers(word: string, host: string): boolean {
  const name = word.replace(/^\*?\./, '');
  return word === '*' || (name !== '' && (host === name || host.endsWith(`.${name}`)));
}

/** undefined: all as usual. */
function tlsOf(
  parameters: Parameters,
  cainfo: string | undefined,
  capath: string | undefined,
): TlsOptions | undefined {
  const { sslverify: verify, 'ssl-version': version } = parameters;
  const lists = [parameters['tls13-ciphers'], parameters['ssl-cipher-list']];
  const ciphers = lists.filter(each => each !== undefined).join(':');
  const ca = authoritiesOf(cainfo, capath);
  if (verify && version === 'default' && ciphers === '' && !ca) return undefined;
  return { verify, ca, ...versionsOf(version), ...(ciphers !== '' && { ciphers }) };
}

function authoritiesOf(file: string | undefined, folder: string | undefined) {
  if (file === undefined && folder === undefined) return undefined;
  const [part, path] = folder === undefined ? ['cainfo', file!] : ['capath', folder];
  try {
    const inFolder =
      folder === undefined ? [] : readdirSync(folder).map(name => join(folder, name));
    const files = [...inFolder, ...(file ? [file] : [])];
    const found = files.map(each => readFileSync(each, 'latin1')).filter(isCertificate);
    if (found.length > 0) return found;
  } catch (error) {
    throw new UsageError(`${part}: ${reasonOf(error)}`);
  }
  if (file === '') return rootCertificates;
  throw new UsageError(`${part}: '${path}': there are no certificates, expected PEM`);
}

const isCertificate = (text: string) => text.includes('-----BEGIN CERTIFICATE-----');

function versionsOf(text: string): {
  minVersion?: tls.SecureVersion;
  maxVersion?: tls.SecureVersion;
} {
  const [, max, version] = /^(max-)?(default|tlsv1(?:\.[0-3])?)$/.exec(text) ?? [];
  if (version === undefined) {
    const right = 'default, tlsv1, tlsv1.0 to tlsv1.3, or max- and one of these';
    throw new UsageError(`ssl-version: '${text}' is not supported: expected ${right}`);
  }
  if (version === 'default') return {};
  const which = VERSIONS[version]!;
  return max === undefined ? { minVersion: which } : { maxVersion: which };
}

const VERSIONS: Readonly<Record<string, tls.SecureVersion>> = {
  tlsv1: 'TLSv1',
  'tlsv1.0': 'TLSv1',
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
};
