import { readFileSync, writeFileSync } from 'node:fs';
import { Cookie, CookieJar } from 'tough-cookie';
import { reasonOf, UsageError } from '../../block/errors.ts';

/** What a cookie is marked with in its file that scripts in a page must not see. */
const HTTP_ONLY = '#HttpOnly_';
const FIRST_LINE = '# Netscape HTTP Cookie File\n';

/** Cookies that servers set and get back, in the file format of curl and wget. */
export class Cookies {
  readonly #jar = new CookieJar(undefined, { looseMode: true });

  /** @param paths files to begin with. @throws UsageError they cannot be read. */
  constructor(paths: readonly string[]) {
    for (const line of paths.flatMap(linesOf)) {
      const read = cookieOf(line);
      if (read) this.#jar.setCookieSync(read.cookie, read.url, { ignoreError: true });
    }
  }

  /** The header Cookie; '' for none. */
  header(url: URL): string {
    return this.#jar.getCookieStringSync(url.href);
  }

  /** Takes those that an answer sets. */
  take(url: URL, lines: readonly string[]): void {
    for (const line of lines) this.#jar.setCookieSync(line, url.href, { ignoreError: true });
  }

  save(path: string): void {
    const { cookies = [] } = this.#jar.serializeSync() ?? {};
    const lines = cookies.map(each => `${lineOf(Cookie.fromJSON(each)!)}\n`);
    writeFileSync(path, FIRST_LINE + lines.join(''), { mode: 0o600 });
  }
}

/** A jar may not be there yet. */
function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split(/\r?\n/);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new UsageError(`cookies: ${reasonOf(error)}`);
  }
}

/** DOMAIN SUBDOMAINS PATH SECURE EXPIRES NAME VALUE, between tabs. */
function cookieOf(text: string): { cookie: Cookie; url: string } | undefined {
  const httpOnly = text.startsWith(HTTP_ONLY);
  const line = httpOnly ? text.slice(HTTP_ONLY.length) : text;
  const [domain, subdomains, path, secure, expires, key, value] = line.split('\t');
  if (line.startsWith('#') || !domain || value === undefined) return undefined;
  const host = domain.replace(/^\./, '');
  const hostOnly = subdomains !== 'TRUE';
  const cookie = new Cookie({
    key: key!,
    value,
    domain: hostOnly ? null : host,
    path: path!,
    secure: secure === 'TRUE',
    httpOnly,
    ...(Number(expires) > 0 && { expires: new Date(Number(expires) * 1000) }),
  });
  return { cookie, url: `http${cookie.secure ? 's' : ''}://${host}${path}` };
}

function lineOf({ domain, hostOnly, path, secure, expires, key, value, httpOnly }: Cookie): string {
  const yes = (is: unknown) => (is ? 'TRUE' : 'FALSE');
  const until = expires instanceof Date ? Math.floor(expires.getTime() / 1000) : 0;
  const dot = hostOnly ? '' : '.';
  const fields = [dot + domain, yes(!hostOnly), path ?? '/', yes(secure), until, key, value];
  return (httpOnly ? HTTP_ONLY : '') + fields.join('\t');
}
