import { BlockError } from '../block/errors.ts';
import { AbortListeners } from '../client/signals.ts';
import type { Sink } from './body.ts';
import { type Headers, type HttpConnection, type Message, STALE } from './connection.ts';
import { connectionError, HttpError, shownUrl } from './errors.ts';
import type { HttpHead } from './head.ts';
import type { Pool } from './pool.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'POST';
  readonly url: URL;
  readonly headers?: Headers | undefined;
  readonly body?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where the body of this answer goes; undefined: nobody wants it. What it throws ends the request. */
  take?(head: HttpHead): Sink | undefined;
}

/** Where a request goes, and how long it may take. */
export interface Route {
  readonly pool: Pool;
  /** What stands in the first line. */
  readonly target: string;
  /** ms for all of it; 0: as long as something comes. */
  readonly timeout: number;
}

/**
 * Sends a request and takes its answer; settles when the body has been taken. Nothing is given to the
 * sink any more after that.
 * @throws HttpError the connection fails; what `take` and the sink throw; the signal's reason.
 */
export async function exchange(request: HttpRequest, route: Route): Promise<HttpHead> {
  const { method, url, headers = {}, body, signal } = request;
  checkHeaders(headers);
  const message = { method, target: route.target, headers: { host: url.host, ...headers }, body };
  try {
    for (;;) {
      const connection = await route.pool.take(signal);
      const reused = connection.answered > 0;
      try {
        return await over(connection, message, request, route.timeout);
      } catch (error) {
        // The server may have closed it before the request came.
        if (error !== STALE || !reused) throw error;
      } finally {
        route.pool.give(connection);
      }
    }
  } catch (error) {
    throw signal?.aborted ? signal.reason : connectionError(url, error);
  }
}

/** @throws BlockError EINVAL for what would be more than a header. */
function checkHeaders(headers: Headers): void {
  for (const [name, value] of Object.entries(headers)) {
    if (/[\r\n\0]/.test(value))
      throw new BlockError('EINVAL', `the header ${name} is not one line`);
  }
}

/** One for all requests of a connection, which have one signal: that is quicker than one each. */
const signals = new AbortListeners();

function over(
  connection: HttpConnection,
  message: Message,
  { url, signal, take }: HttpRequest,
  timeout: number,
): Promise<HttpHead> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const late = () => {
      const words = `${shownUrl(url)}: no whole answer in ${timeout / 1000} s (timeout)`;
      connection.close(new HttpError('ETIMEDOUT', words, { transient: true }));
    };
    const timer = timeout === 0 ? undefined : setTimeout(late, timeout);
    const givenUp = () => connection.close(signal!.reason);
    if (signal) signals.add(signal, givenUp);
    connection.ask(message, {
      take: head => take?.(head),
      done: (error, head) => {
        clearTimeout(timer);
        if (signal) signals.remove(signal, givenUp);
        if (head) resolve(head);
        else reject(error);
      },
    });
  });
}
