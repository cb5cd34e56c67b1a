import type { Agent, buildConnector, ProxyAgent } from 'undici';
import { UsageError } from '../block/errors.ts';
import { connectionsOf, type Network } from './connections.ts';
import { shownUrl } from './errors.ts';
import { exchange, type Headers, type HttpHead, type HttpRequest, type Route } from './exchange.ts';

/** Adds to requests what lets them pass: credentials, cookies, a signature. */
export interface Attendant {
  /** All headers of a request, which is about to be sent. */
  headers(request: HttpRequest): Headers | Promise<Headers>;
  /** Looks at the answer; true: with other headers it may be a better one. */
  answered?(request: HttpRequest, head: HttpHead): boolean;
}

/** A proxy for some of the requests. */
export interface WebProxy {
  readonly url: URL;
  /** The header Proxy-Authorization. */
  readonly authorization?: string | undefined;
  /** Whether requests to this address go by it. */
  concerns(url: URL): boolean;
}

export interface AgentOptions extends Network {
  /** Most connections to one server. */
  readonly connections: number;
  /** ms for one request; 0: as long as something comes. */
  readonly timeout: number;
  readonly http2?: boolean | undefined;
  readonly proxy?: WebProxy | undefined;
  readonly attendant?: Attendant | undefined;
  /** Whether an address may be asked at all, also one that a server redirects to. @throws BlockError */
  check?(url: URL): void;
  debug(message: string): void;
}

/** A server that says nothing for so long has stopped, in ms. */
const SILENCE = 60_000;

/** Sends requests over connections that are kept. */
export class HttpAgent {
  readonly #options: AgentOptions;
  readonly #agent: Agent;
  /** For what is encrypted all the way through the proxy. */
  readonly #tunnel: ProxyAgent | undefined;

  private constructor(options: AgentOptions, agent: Agent, tunnel: ProxyAgent | undefined) {
    this.#options = options;
    this.#agent = agent;
    this.#tunnel = tunnel;
  }

  /** @throws UsageError certificates, ciphers or a proxy that cannot be used. */
  static async create(options: AgentOptions): Promise<HttpAgent> {
    const undici = await import('undici');
    const { connect, tls, proxyTls } = connectionsOf(options, undici.buildConnector);
    const { connections, proxy, http2 = false } = options;
    const common = {
      connections,
      allowH2: http2,
      headersTimeout: SILENCE,
      bodyTimeout: SILENCE,
    };
    const agent = new undici.Agent({ ...common, connect: connect as buildConnector.connector });
    if (!proxy) return new HttpAgent(options, agent, undefined);
    if (!['http:', 'https:'].includes(proxy.url.protocol)) {
      throw new UsageError(
        `proxy: ${proxy.url.protocol}// is not supported: expected http or https`,
      );
    }
    const tunnel = new undici.ProxyAgent({
      ...common,
      uri: proxy.url.origin,
      ...(proxy.authorization !== undefined && { token: proxy.authorization }),
      requestTls: tls(),
      proxyTls: proxyTls(),
    });
    return new HttpAgent(options, agent, tunnel);
  }

  /**
   * Sends a request, once more when the attendant has learned from the answer.
   * @throws BlockError the address may not be asked; and as `exchange` does.
   */
  async send(request: HttpRequest): Promise<HttpHead> {
    const { attendant, check, debug } = this.#options;
    check?.(request.url);
    for (let again = false; ; again = true) {
      const headers = attendant ? await attendant.headers(request) : request.headers;
      const head = await exchange(...this.#routed({ ...request, headers }));
      const range = request.headers?.range;
      const what = `${request.method} ${shownUrl(request.url)}${range ? ` ${range}` : ''}`;
      debug(`${what}: status ${head.status}`);
      if (again || !attendant?.answered?.(request, head)) return head;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#tunnel?.destroy()]);
  }

  /** A proxy is asked for plain addresses by their whole name, and else to let through. */
  #routed(request: HttpRequest): [HttpRequest, Route] {
    const { proxy, timeout } = this.#options;
    const { url } = request;
    const { origin } = url;
    const path = url.pathname + url.search;
    if (!proxy?.concerns(url)) return [request, { dispatcher: this.#agent, origin, path, timeout }];
    if (url.protocol === 'https:') {
      return [request, { dispatcher: this.#tunnel!, origin, path, timeout }];
    }
    const { authorization } = proxy;
    const headers = {
      host: url.host,
      ...request.headers,
      ...(authorization !== undefined && { 'proxy-authorization': authorization }),
    };
    const route = {
      dispatcher: this.#agent,
      origin: proxy.url.origin,
      path: origin + path,
      timeout,
    };
    return [{ ...request, headers }, route];
  }
}
