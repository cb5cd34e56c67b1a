import { UsageError } from '../../block/errors.ts';
import type { Attendant } from '../../http/agent.ts';
import type { Headers } from '../../http/connection.ts';
import type { HttpRequest } from '../../http/exchange.ts';
import { type HttpHead, headerOf } from '../../http/head.ts';
import type { Cookies } from './cookies.ts';
import { answerTo, type Challenge, challengeIn } from './digest.ts';
import type { Script } from './script.ts';

export interface Identity {
  readonly user: string;
  readonly password: string;
}

export interface AttendantOptions {
  /** Secrets go to this server and to no other. */
  readonly url: URL;
  readonly identity: Identity | undefined;
  readonly userAgent: string | undefined;
  /** As the parameter `header` has them. */
  readonly headers: readonly string[];
  readonly headerScript: Script | undefined;
  readonly cookie: string | undefined;
  readonly cookieScript: Script | undefined;
  readonly cookies: Cookies | undefined;
}

interface Used {
  readonly script: Script;
  readonly output: Promise<string>;
}

/** Headers that only the server gets which was named. */
const SECRET: ReadonlySet<string> = new Set(['authorization', 'cookie']);
const DENIED: ReadonlySet<number> = new Set([401, 403]);

/** Adds the headers, cookies and credentials of the parameters. */
export class CurlAttendant implements Attendant {
  readonly #options: AttendantOptions;
  readonly #used = new WeakMap<HttpRequest, readonly Used[]>();
  #challenge: Challenge | undefined;
  #answers = 0;
  /** Over an open line the password is sent only when it is asked for, as a digest if that will do. */
  #basic: boolean;

  constructor(options: AttendantOptions) {
    this.#options = options;
    this.#basic = options.url.protocol === 'https:';
  }

  async headers(request: HttpRequest): Promise<Headers> {
    const { headers, userAgent, cookies, headerScript, cookieScript } = this.#options;
    const { url } = request;
    const printed = headerScript?.output();
    const baked = cookieScript?.output();
    const used: Used[] = [];
    if (printed) used.push({ script: headerScript!, output: printed });
    if (baked) used.push({ script: cookieScript!, output: baked });
    this.#used.set(request, used);
    const cookie = baked ? (await baked).trim() : this.#options.cookie;
    const all: Record<string, string> = {
      ...(userAgent !== undefined && { 'user-agent': userAgent }),
      ...this.#authorization(request),
      ...(cookie !== undefined && { cookie }),
      ...request.headers,
    };
    const own = printed ? (await printed).split('\n').filter(line => line.trim()) : headers;
    for (const line of own) applyHeader(all, line.trim());
    if (url.origin !== this.#options.url.origin) for (const name of SECRET) delete all[name];
    const jar = cookies?.header(url);
    if (jar) all.cookie = all.cookie === undefined ? jar : `${all.cookie}; ${jar}`;
    return all;
  }

  answered(request: HttpRequest, head: HttpHead): boolean {
    const set = head.headers['set-cookie'];
    if (set) this.#options.cookies?.take(request.url, [set].flat());
    if (!DENIED.has(head.status)) return false;
    const used = this.#used.get(request) ?? [];
    for (const { script, output } of used) script.expire(output);
    return this.#learn(request, head) || used.length > 0;
  }

  /** Whether the server has said how it likes to be told the password. */
  #learn({ url }: HttpRequest, head: HttpHead): boolean {
    const { identity, url: home } = this.#options;
    if (!identity || head.status !== 401 || url.origin !== home.origin) return false;
    const wanted = headerOf(head, 'www-authenticate') ?? '';
    const challenge = challengeIn(wanted);
    if (challenge) {
      this.#challenge = challenge;
      this.#answers = 0;
      return true;
    }
    const first = !this.#basic && /\bbasic\b/i.test(wanted);
    if (first) this.#basic = true;
    return first;
  }

  #authorization({ method, url }: HttpRequest): Headers {
    const { identity } = this.#options;
    if (!identity) return {};
    if (this.#challenge) {
      const uri = url.pathname + url.search;
      this.#answers += 1;
      return { authorization: answerTo(this.#challenge, identity, method, uri, this.#answers) };
    }
    return this.#basic ? { authorization: basic(identity) } : {};
  }
}

/** The header of Basic authentication. */
export function basic({ user, password }: Identity): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** `NAME: VALUE` adds a header, `NAME;` one without a value, `NAME:` takes one away. */
export function applyHeader(headers: Record<string, string>, line: string): void {
  const match = /^([!#$%&'*+.^_`|~\w-]+)(?:(;)|:\s*([^\r\n\0]*))$/.exec(line);
  const [, name, empty, value] = match ?? [];
  if (name === undefined) throw new UsageError('header: expected NAME: VALUE, NAME; or NAME:');
  const key = name.toLowerCase();
  if (value === '') delete headers[key];
  else headers[key] = empty ? '' : value!;
}
