import { lookup as systemLookup } from 'node:dns';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { buildConnector } from 'undici';
import { BlockError, messageOf, UsageError } from '../block/errors.ts';

/** How servers are found and connected to. */
export interface Network {
  /** Only addresses of this kind. */
  readonly family?: 4 | 6 | undefined;
  /** The addresses of `HOST:PORT`, which are not looked up. */
  readonly addresses?: ReadonlyMap<string, readonly string[]> | undefined;
  /** Whether an address that was found may be connected to. @throws BlockError */
  checkAddress?(host: string, address: string): void;
  readonly unixSocket?: string | undefined;
  readonly keepAlive?: boolean | undefined;
  readonly noDelay?: boolean | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly proxyTls?: TlsOptions | undefined;
}

export interface TlsOptions {
  /** Certificates of authorities, as PEM, in place of the system's. */
  readonly ca?: readonly string[] | undefined;
  readonly verify: boolean;
  readonly minVersion?: tls.SecureVersion | undefined;
  readonly maxVersion?: tls.SecureVersion | undefined;
  /** As OpenSSL writes them. */
  readonly ciphers?: string | undefined;
}

type Connector = buildConnector.connector;
type Make = typeof buildConnector;

/** How long it may take to connect, in ms. */
const PATIENCE = 30_000;

/** What undici connects with. @throws UsageError certificates or ciphers that cannot be used. */
export function connectionsOf(network: Network, make: Make) {
  const { unixSocket, keepAlive = true, noDelay = true } = network;
  const common = {
    timeout: PATIENCE,
    keepAlive,
    ...(unixSocket !== undefined && { socketPath: unixSocket }),
  };
  // It takes a while to read all authorities' certificates, which plain connections can spare.
  let known: Secure | undefined;
  const secure = () => {
    known ??= tlsOptions(network.tls);
    return known;
  };
  if (network.tls) secure();
  const connectors = new Map<string, Connector>();
  const connect: Connector = (options, callback) => {
    const { hostname, port, protocol } = options;
    const place = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
    let connector = connectors.get(place);
    if (!connector) {
      connector = make({
        ...common,
        ...(protocol === 'https:' && secure()),
        lookup: lookupFor(network, place),
      });
      connectors.set(place, connector);
    }
    connector(options, (error, socket) => {
      if (!noDelay) (socket as net.Socket | null)?.setNoDelay(false);
      if (error) callback(error, null);
      else callback(null, socket!);
    });
  };
  const proxyTls = () => (network.proxyTls ? tlsOptions(network.proxyTls) : secure());
  return { connect, tls: secure, proxyTls };
}

type Found = { address: string; family: number };

/** Looks names up as the parameters say, and gives only addresses that may be connected to. */
function lookupFor(
  { family, addresses, checkAddress }: Network,
  place: string,
): net.LookupFunction {
  const given = addresses?.get(place.toLowerCase());
  return (host, options, callback) => {
    const give = (found: readonly Found[]) => {
      const right = found.filter(each => family === undefined || each.family === family);
      try {
        for (const { address } of right) checkAddress?.(host, address);
      } catch (error) {
        callback(error as Error, '', 0);
        return;
      }
      const [first] = right;
      if (!first) callback(noAddress(host, family), '', 0);
      else if (options.all) callback(null, [...right]);
      else callback(null, first.address, first.family);
    };
    if (given) give(given.map(address => ({ address, family: net.isIP(address) })));
    else {
      systemLookup(host, { all: true }, (error, found) => {
        if (error) callback(error, '', 0);
        else give(found);
      });
    }
  };
}

function noAddress(host: string, family: 4 | 6 | undefined): Error {
  return new BlockError('EIO', `${host} has no IPv${family} address`);
}

interface Secure {
  readonly secureContext: tls.SecureContext;
  readonly rejectUnauthorized: boolean;
}

function tlsOptions(options: TlsOptions | undefined): Secure {
  const { ca, verify = true, ...rest } = options ?? {};
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const authorities = ca ?? systemAuthorities();
  try {
    const secureContext = tls.createSecureContext({
      ...Object.fromEntries(given),
      ...(authorities && { ca: [...authorities] }),
    });
    return { secureContext, rejectUnauthorized: verify };
  } catch (error) {
    throw new UsageError(`TLS: ${messageOf(error)}`);
  }
}

/** Where systems keep the certificates of the authorities that they trust. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
];

/** Those of the system, as other programs have them; undefined: those that Node brings. */
function systemAuthorities(): readonly string[] | undefined {
  const named = process.env.CURL_CA_BUNDLE ?? process.env.SSL_CERT_FILE;
  const path = named || BUNDLES.find(existsSync);
  return path === undefined ? undefined : [readFileSync(path, 'utf8')];
}
