import type { Dispatcher } from 'undici';
import { abortable } from '../block/abortable.ts';
import { BlockError } from '../block/errors.ts';
import { connectionError, HttpError, shownUrl } from './errors.ts';

export type Headers = Readonly<Record<string, string>>;

/** The head of an answer; names of headers are in lower case. */
export interface HttpHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Takes the bytes of a body as they come; what it throws ends the request. */
export type Sink = (chunk: Uint8Array) => void;

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'POST';
  readonly url: URL;
  readonly headers?: Headers | undefined;
  readonly body?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where the body of this answer goes; undefined: nobody wants it. What it throws ends the request. */
  take?(head: HttpHead): Sink | undefined;
}

/** As much of a body that nobody wants is read, as the connection can then be used again. */
const DRAINED = 1 << 16;

/** Where a request goes, and how long it may take. */
export interface Route {
  readonly dispatcher: Dispatcher;
  readonly origin: string;
  readonly path: string;
  /** ms for all of it; 0: as long as something comes. */
  readonly timeout: number;
}

/**
 * Sends a request and takes its answer; settles when the body has been taken. Nothing is given to the
 * sink any more after that.
 * @throws HttpError the connection fails; what `take` and the sink throw; the signal's reason.
 */
export function exchange(request: HttpRequest, route: Route): Promise<HttpHead> {
  const { method, url, headers, body, signal, take } = request;
  const { dispatcher, origin, path, timeout } = route;
  return abortable(signal, (resolve, reject) => {
    const state = new State(url, resolve, reject, take);
    state.limit(timeout);
    const options = { origin, path, method, headers: { ...headers }, body: body ?? null };
    dispatcher.dispatch(options as Dispatcher.DispatchOptions, state);
    return () => state.giveUp();
  });
}

/** One request on its way, as undici tells about it. */
class State implements Dispatcher.DispatchHandler {
  readonly #url: URL;
  readonly #resolve: (head: HttpHead) => void;
  readonly #reject: (error: unknown) => void;
  readonly #take: HttpRequest['take'];
  #controller: Dispatcher.DispatchController | undefined;
  #head: HttpHead | undefined;
  #sink: Sink | undefined;
  #over = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    url: URL,
    resolve: (head: HttpHead) => void,
    reject: (error: unknown) => void,
    take: HttpRequest['take'],
  ) {
    this.#url = url;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#take = take;
  }

  limit(timeout: number): void {
    if (timeout === 0) return;
    const words = `${shownUrl(this.#url)}: no whole answer in ${timeout / 1000} s (timeout)`;
    const late = () => this.#fail(new HttpError('ETIMEDOUT', words, { transient: true }));
    this.#timer = setTimeout(late, timeout);
  }

  /** Nobody waits any more. */
  giveUp(): void {
    if (this.#end()) this.#controller?.abort(new Error('nobody waits'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('nobody waits'));
  }

  onResponseStart(
    _: unknown,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // 100 and the like come before the answer.
    if (this.#over || status < 200) return;
    this.#head = { status, headers };
    this.#try(() => {
      this.#sink = this.#take?.(this.#head!) ?? this.#drain();
    });
  }

  onResponseData(_: unknown, chunk: Uint8Array): void {
    if (!this.#over) this.#try(() => this.#sink!(chunk));
  }

  onResponseEnd(): void {
    if (this.#end()) this.#resolve(this.#head!);
  }

  onResponseError(_: unknown, error: unknown): void {
    if (this.#end()) this.#reject(connectionError(this.#url, error));
  }

  /** Reads what nobody wants, and hangs up when it is much. */
  #drain(): Sink {
    let length = 0;
    return chunk => {
      length += chunk.length;
      if (length <= DRAINED || !this.#end()) return;
      this.#resolve(this.#head!);
      this.#controller!.abort(new Error('nobody wants the body'));
    };
  }

  #try(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (!this.#end()) return;
    this.#reject(error);
    this.#controller?.abort(new Error('the request has failed'));
  }

  /** Whether it was not over before. */
  #end(): boolean {
    const first = !this.#over;
    this.#over = true;
    clearTimeout(this.#timer);
    return first;
  }
}

/** A header with one value. */
export function headerOf({ headers }: HttpHead, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

/** Collects a short body. @throws BlockError it is longer than that. */
export function collector(limit: number): { sink: Sink; text(): string } {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const sink: Sink = chunk => {
    length += chunk.length;
    if (length > limit) throw new BlockError('EIO', `an answer of more than ${limit} bytes`);
    chunks.push(Buffer.from(chunk));
  };
  return { sink, text: () => Buffer.concat(chunks).toString() };
}
