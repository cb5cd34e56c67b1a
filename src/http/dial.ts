import { lookup as systemLookup } from 'node:dns';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { BlockError, UsageError } from '../block/errors.ts';
import { HttpConnection } from './connection.ts';
import { HttpError, shownUrl } from './errors.ts';
import { type Secure, secureOptions, type TlsOptions } from './secure.ts';

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
  readonly proxy?: WebProxy | undefined;
}

/** A proxy for some of the requests. */
export interface WebProxy {
  readonly url: URL;
  /** The header Proxy-Authorization. */
  readonly authorization?: string | undefined;
  /** Whether requests to this address go by it. */
  concerns(url: URL): boolean;
}

/** How long it may take to connect, in ms. */
const PATIENCE = 30_000;

/** Connects to web servers. */
export class Dialer {
  readonly #network: Network;
  readonly #sessions = new Map<string, Buffer>();
  #secure: Secure | undefined;
  #proxySecure: Secure | undefined;

  /** @throws UsageError certificates, ciphers or a proxy that cannot be used. */
  constructor(network: Network) {
    this.#network = network;
    const { proxy, tls: given } = network;
    if (proxy && !['http:', 'https:'].includes(proxy.url.protocol)) {
      const scheme = `${proxy.url.protocol}//`;
      throw new UsageError(`proxy: ${scheme} is not supported: expected http or https`);
    }
    // It takes a while to read all authorities' certificates, which plain connections can spare.
    if (given) this.#secure = secureOptions(given);
  }

  /** @param tunnel a proxy that lets through. @throws Error why there is no connection. */
  async dial(url: URL, tunnel?: WebProxy): Promise<HttpConnection> {
    const connection = new HttpConnection();
    if (tunnel) {
      const through = await this.#tunnel(url, tunnel);
      const secured = tls.connect({ ...this.#tlsOptions(url), socket: through });
      await this.#connected(secured, 'secureConnect', url);
      return connection.attach(secured, false);
    }
    const { onread } = connection;
    const place = { ...this.#placeOptions(url), onread };
    if (url.protocol === 'http:') {
      const socket = net.connect(place as net.NetConnectOpts);
      await this.#connected(socket, 'connect', url);
      return connection.attach(socket);
    }
    const socket = tls.connect({ ...place, ...this.#tlsOptions(url) } as tls.ConnectionOptions);
    await this.#connected(socket, 'secureConnect', url);
    return connection.attach(socket);
  }

  #placeOptions(url: URL) {
    const { unixSocket, keepAlive = true, noDelay = true } = this.#network;
    if (unixSocket !== undefined) return { path: unixSocket };
    const host = hostOf(url);
    const port = portOf(url);
    return { host, port, keepAlive, noDelay, lookup: lookupFor(this.#network, `${host}:${port}`) };
  }

  #tlsOptions(url: URL, ofProxy = false): tls.ConnectionOptions {
    const host = hostOf(url);
    const session = this.#sessions.get(url.host);
    return {
      ...(ofProxy ? this.#proxyTls() : this.#tls()),
      ALPNProtocols: ['http/1.1'],
      host,
      ...(net.isIP(host) === 0 && { servername: host }),
      ...(session && { session }),
    };
  }

  #tls(): Secure {
    this.#secure ??= secureOptions(this.#network.tls);
    return this.#secure;
  }

  #proxyTls(): Secure {
    const { proxyTls } = this.#network;
    this.#proxySecure ??= proxyTls ? secureOptions(proxyTls) : this.#tls();
    return this.#proxySecure;
  }

  /** A way through a proxy to the server. */
  async #tunnel(url: URL, proxy: WebProxy): Promise<net.Socket> {
    const place = this.#placeOptions(proxy.url);
    const isSecure = proxy.url.protocol === 'https:';
    const socket = isSecure
      ? tls.connect({ ...place, ...this.#tlsOptions(proxy.url, true) } as tls.ConnectionOptions)
      : net.connect(place as net.NetConnectOpts);
    await this.#connected(socket, isSecure ? 'secureConnect' : 'connect', proxy.url);
    const target = `${url.hostname}:${portOf(url)}`;
    const allowed =
      proxy.authorization === undefined ? '' : `proxy-authorization: ${proxy.authorization}\r\n`;
    socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n${allowed}\r\n`);
    try {
      // A server speaks only when it was spoken to: there is nothing behind the head.
      const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE) })) as [
        Buffer,
      ];
      const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1')) ?? [];
      if (status === '200') return socket;
      const words = `the proxy ${proxy.url.host} does not let through (status ${status ?? 'none'})`;
      throw new HttpError('EIO', `${shownUrl(url)}: ${words}`, { transient: status?.[0] === '5' });
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  async #connected(socket: net.Socket, event: string, url: URL): Promise<void> {
    socket.on('session', session => this.#sessions.set(url.host, session));
    const late = () => socket.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' }));
    const timer = setTimeout(late, PATIENCE);
    try {
      await once(socket, event);
    } catch (error) {
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

const hostOf = ({ hostname }: URL) => hostname.replace(/^\[|\]$/g, '');
const portOf = ({ port, protocol }: URL) => Number(port) || (protocol === 'https:' ? 443 : 80);

interface Address {
  readonly address: string;
  readonly family: number;
}

/** Looks names up as the parameters say, and gives only addresses that may be connected to. */
function lookupFor(
  { family, addresses, checkAddress }: Network,
  place: string,
): net.LookupFunction {
  const given = addresses?.get(place.toLowerCase());
  return (host, options, callback) => {
    const give = (found: readonly Address[]) => {
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
