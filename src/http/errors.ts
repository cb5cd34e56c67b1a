import { BlockError, type Errno, messageOf } from '../block/errors.ts';
import { harmless } from '../protocol/text.ts';
import { tlsWords } from '../transport/tls-words.ts';

/** A request that did not bring what it should. */
export class HttpError extends BlockError {
  override readonly name = 'HttpError';
  /** The status of the answer, if there was one. */
  readonly status: number | undefined;
  /** It may go better the next time. */
  readonly transient: boolean;
  /** How long the server asks to wait, in ms. */
  readonly retryAfter: number;

  constructor(
    errno: Errno,
    message: string,
    {
      status,
      transient = false,
      retryAfter = 0,
      cause,
    }: { status?: number; transient?: boolean; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(errno, message, { cause });
    this.status = status;
    this.transient = transient;
    this.retryAfter = retryAfter;
  }
}

/** What came is no HTTP, or not what it says of itself. */
export class BadAnswer extends Error {}

/** A URL for people: without user, password and query, which may be secrets. */
export function shownUrl({ protocol, host, pathname, search }: URL): string {
  return harmless(`${protocol}//${host}${pathname}${search && '?...'}`);
}

/** EIO: what is wrong with an answer. */
export function failed(
  url: URL,
  words: string,
  options: { status?: number; transient?: boolean; retryAfter?: number } = {},
): HttpError {
  return new HttpError('EIO', `${shownUrl(url)}: ${words}`, options);
}

/** What a connection failed with; as far as that is known, where trying again would not help. */
export function connectionError(url: URL, error: unknown): HttpError | BlockError {
  if (error instanceof BlockError) return error;
  const cause = causeOf(error);
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const words = harmless(WORDS[code] ?? tlsWords(cause as Error) ?? messageOf(cause));
  const final = error instanceof BadAnswer || FINAL.test(code);
  const errno = code === 'ETIMEDOUT' ? 'ETIMEDOUT' : 'EIO';
  return new HttpError(errno, `${shownUrl(url)}: ${words}`, { transient: !final, cause: error });
}

/** Of the attempts at several addresses the last one. */
function causeOf(error: unknown): unknown {
  return error instanceof AggregateError ? (error.errors.at(-1) ?? error) : error;
}

/** No such host, and what TLS does not accept. */
const FINAL = /^(?:ENOTFOUND|ENOENT|EACCES|ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_|DEPTH_)/;

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection is refused: nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ECONNRESET: 'the server hung up',
  EPIPE: 'the server hung up',
  ETIMEDOUT: 'no connection in time',
};
