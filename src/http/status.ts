import { harmless } from '../protocol/text.ts';
import { failed, HttpError, shownUrl } from './errors.ts';
import { type HttpHead, headerOf } from './head.ts';

export const PARTIAL = 206;
export const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Those that a server is over with after a while. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 507, 509]);
/** The longest wait that a server may ask for, in ms. */
const LONGEST_WAIT = 30_000;

/**
 * What it means that a server answered so.
 * @param more what it said, in words.
 */
export function statusError(head: HttpHead, url: URL, more = ''): HttpError {
  const { status } = head;
  const said = (words: string) => `${words} (status ${status})${more && `: ${harmless(more)}`}`;
  if (status === 200) {
    const words = 'the server sends only the whole file, and no parts of it, which a disk needs';
    return failed(url, said(words), { status });
  }
  if (BUSY.has(status)) {
    const wait = Number(headerOf(head, 'retry-after') ?? 0) * 1000 || 0;
    const retryAfter = Math.min(Math.max(wait, 0), LONGEST_WAIT);
    return failed(url, said('the server has trouble'), { status, transient: true, retryAfter });
  }
  if (status === 401 || status === 403 || status === 407) {
    const words = said('access is denied');
    return new HttpError('EACCES', `${shownUrl(url)}: ${words}`, { status });
  }
  if (status === 404 || status === 410) {
    return new HttpError('ENOENT', `${shownUrl(url)}: ${said('no such file')}`, { status });
  }
  if (REDIRECTS.has(status)) return failed(url, said('the server redirects elsewhere'), { status });
  return failed(url, said('the server does not give it'), { status });
}
