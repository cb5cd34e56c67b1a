import type { Headers } from './connection.ts';
import { Dialer, type Network, type WebProxy } from './dial.ts';
import { shownUrl } from './errors.ts';
import { exchange, type HttpRequest, type Route } from './exchange.ts';
import type { HttpHead } from './head.ts';
import { Pool } from './pool.ts';

/** Adds to requests what lets them pass: credentials, cookies, a signature. */
export interface Attendant {
  /** All headers of a request, which is about to be sent. */
  headers(request: HttpRequest): Headers | Promise<Headers>;
  /** Looks at the answer; true: with other headers it may be a better one. */
  answered?(request: HttpRequest, head: HttpHead): boolean;
}

export interface AgentOptions extends Network {
  /** Most connections to one server. */
  readonly connections: number;
  /** ms for one request; 0: as long as something comes. */
  readonly timeout: number;
  readonly attendant?: Attendant | undefined;
  /** Whether an address may be asked at all, also one that a server redirects to. @throws BlockError */
  check?(url: URL): void;
  debug(message: string): void;
}

/** Sends requests over connections that are kept. */
export class HttpAgent {
  readonly #options: AgentOptions;
  readonly #dialer: Dialer;
  readonly #pools = new Map<string, Pool>();

  /** @throws UsageError certificates, ciphers or a proxy that cannot be used. */
  constructor(options: AgentOptions) {
    this.#options = options;
    this.#dialer = new Dialer(options);
  }

  /**
   * Sends a request, once more when the attendant has learned from the answer.
   * @throws BlockError the address may not be asked; and as `exchange` does.
   */
  async send(request: HttpRequest): Promise<HttpHead> {
    const { attendant, check, debug, proxy } = this.#options;
    const { method, url } = request;
    check?.(url);
    const via = proxy?.concerns(url) ? proxy : undefined;
    const route = this.#route(url, via);
    for (let again = false; ; again = true) {
      const own = attendant ? await attendant.headers(request) : request.headers;
      const headers = via && url.protocol === 'http:' ? { ...own, ...authorization(via) } : own;
      const head = await exchange({ ...request, headers }, route);
      const range = request.headers?.range;
      debug(`${method} ${shownUrl(url)}${range ? ` ${range}` : ''}: status ${head.status}`);
      if (again || !attendant?.answered?.(request, head)) return head;
    }
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
  }

  /** A proxy is asked for plain addresses by their whole name, and else to let through. */
  #route(url: URL, proxy: WebProxy | undefined): Route {
    const { connections, timeout } = this.#options;
    const forwarded = proxy && url.protocol === 'http:';
    const place = forwarded ? proxy.url : url;
    const tunnel = forwarded ? undefined : proxy;
    const key = `${place.origin} ${tunnel?.url.origin ?? ''}`;
    let pool = this.#pools.get(key);
    if (!pool) {
      pool = new Pool(() => this.#dialer.dial(place, tunnel), connections);
      this.#pools.set(key, pool);
    }
    const path = url.pathname + url.search;
    return { pool, target: forwarded ? url.origin + path : path, timeout };
  }
}

function authorization({ authorization: value }: WebProxy): Headers {
  return value === undefined ? {} : { 'proxy-authorization': value };
}
