import { harmless } from '../protocol/text.ts';
import { BadAnswer } from './errors.ts';

/** The head of an answer; names of headers are in lower case. */
export interface HttpHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Where a body ends: after so many bytes, by chunks of its own, or with the connection. */
export type Framing = number | 'chunked' | 'close';

/** A head, and what it says of the connection. */
export interface ParsedHead extends HttpHead {
  readonly framing: Framing;
  /** The connection can be used again. */
  readonly keepsAlive: boolean;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/;
const HEADER = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*)$/;
const END_OF_HEAD = '\r\n\r\n';

/** Where the head in these bytes ends, and the body begins; -1: it is not here in full. */
export function endOfHead(bytes: Buffer): number {
  const at = bytes.indexOf(END_OF_HEAD);
  return at < 0 ? -1 : at + END_OF_HEAD.length;
}

/**
 * Reads a head.
 * @param text up to its end.
 * @throws BadAnswer it is none of HTTP/1.
 */
export function parseHead(text: string, method: string): ParsedHead {
  const [first, ...lines] = text.trimEnd().split('\r\n') as [string, ...string[]];
  const [, minor, digits] = STATUS_LINE.exec(first) ?? [];
  if (digits === undefined)
    throw new BadAnswer(`the answer is no HTTP: '${harmless(first.slice(0, 40))}'`);
  const headers: Record<string, string | string[]> = {};
  for (const line of lines) {
    const [, key, value] = HEADER.exec(line) ?? [];
    if (key === undefined) throw new BadAnswer('the answer has a header that is none');
    const name = key.toLowerCase();
    const before = headers[name];
    headers[name] = before === undefined ? value!.trimEnd() : [before, value!.trimEnd()].flat();
  }
  const head = { status: Number(digits), headers };
  const framing = framingOf(head, method);
  const connection = headerOf(head, 'connection')?.toLowerCase() ?? '';
  const keepsAlive =
    minor === '1' ? !/\bclose\b/.test(connection) : /\bkeep-alive\b/.test(connection);
  return { ...head, framing, keepsAlive: keepsAlive && framing !== 'close' };
}

function framingOf(head: HttpHead, method: string): Framing {
  const { status } = head;
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0;
  const coding = headerOf(head, 'transfer-encoding')?.toLowerCase();
  const lengths = new Set([head.headers['content-length'] ?? []].flat());
  if (coding !== undefined) {
    if (coding !== 'chunked') throw new BadAnswer('the answer has an unknown Transfer-Encoding');
    if (lengths.size > 0) throw new BadAnswer('the answer has two lengths');
    return 'chunked';
  }
  if (lengths.size === 0) return 'close';
  const [length] = lengths;
  if (lengths.size > 1 || !/^\d{1,15}$/.test(length!)) {
    throw new BadAnswer('the answer has a Content-Length that is none');
  }
  return Number(length);
}

/** A header with one value. */
export function headerOf({ headers }: HttpHead, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}
