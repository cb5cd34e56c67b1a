import { abortable } from '../block/abortable.ts';
import { type BlockDevice, MAX_SIZE, type ReadOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { type Patience, retrying } from '../block/retrying.ts';
import { sleep } from '../block/sleep.ts';
import { harmless } from '../protocol/text.ts';
import type { HttpAgent } from './agent.ts';
import { HttpError, shownUrl } from './errors.ts';
import { type Headers, type HttpHead, headerOf, type Sink } from './exchange.ts';

/** Which contents a file has, by what its server says of it. */
export interface Version {
  readonly size: bigint;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** Where a file was found in the end, and what it was then. Plain data. */
export interface Found {
  readonly url: string;
  readonly version: Version;
}

export interface WebFileOptions {
  /** Whether redirects are followed. */
  readonly followRedirects: boolean;
  /** How often what may go better is tried again. */
  readonly patience: Patience;
}

/** Half a minute in all. */
export const PATIENCE = { retries: 8, delay: 100, growth: 2 } as const;

const PARTIAL = 206;
const SECTOR = 512;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 20;
/** Statuses of links that have expired, where another may be had. */
const EXPIRED: ReadonlySet<number> = new Set([403, 404, 410, ...REDIRECTS]);
/** Those that a server is over with after a while. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 507, 509]);
/** To find a file a few attempts must do: somebody waits to be told that it is not there. */
const FEW = 3;
/** So many links to a file may expire one after the other. */
const MOST_LINKS = 3;
/** The longest wait that a server may ask for, in ms. */
const LONGEST_WAIT = 30_000;

/**
 * A file on a web server, read in parts. Where its address redirects to is found out once, and again
 * when that has expired. What fails and may go better is tried again, from where it broke off. A file
 * that is not the same any more is EIO.
 */
export class WebFile {
  readonly #agent: HttpAgent;
  readonly #options: WebFileOptions;
  readonly #url: URL;
  /** Where it is at present. */
  #place: Place;
  #moving: Promise<void> | undefined;

  private constructor(agent: HttpAgent, options: WebFileOptions, url: URL, found: Found) {
    this.#agent = agent;
    this.#options = options;
    this.#url = url;
    this.#place = { url: new URL(found.url), version: found.version };
  }

  /**
   * Finds a file, unless it was found before.
   * @throws BlockError ENOENT, EACCES or EIO why it cannot be read.
   */
  static async open(
    agent: HttpAgent,
    url: URL,
    options: WebFileOptions,
    { signal, found }: { signal?: AbortSignal; found?: Found | undefined } = {},
  ): Promise<WebFile> {
    const place = found ?? (await locate(agent, url, options, signal));
    return new WebFile(agent, options, url, place);
  }

  get size(): bigint {
    return this.#place.version.size;
  }

  /** For `open`, of the same file. */
  get found(): Found {
    return { url: this.#place.url.href, version: this.#place.version };
  }

  /** As a disk for reading only, which all connections may share. */
  device(): BlockDevice {
    return {
      size: this.size,
      multiConn: true,
      read: (offset, length, options) => this.read(offset, length, options),
    };
  }

  async read(
    offset: bigint,
    length: number,
    { memory = Buffer.allocUnsafeSlow, signal }: ReadOptions = {},
  ): Promise<Uint8Array> {
    const target = memory(length);
    for (let done = 0; done < length; ) {
      let place = this.#place;
      let links = 0;
      const act = () => {
        place = this.#place;
        return this.#some(place, offset + BigInt(done), target.subarray(done), signal);
      };
      const mayPass = (error: unknown) =>
        isTransient(error) ||
        (isExpired(error) && this.#isElsewhere(place) && ++links < MOST_LINKS);
      const recover = (error: unknown) => this.#recover(error, place, signal);
      done += await tryAgain(this.#options.patience, act, { signal, mayPass, recover });
    }
    return target;
  }

  /** Reads as many bytes as one answer brings, at least one sector. */
  async #some(
    place: Place,
    offset: bigint,
    target: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { url, version } = place;
    const last = offset + BigInt(target.length) - 1n;
    let got = 0;
    const take = (head: HttpHead): Sink | undefined => {
      if (head.status !== PARTIAL) return undefined;
      const length = lengthOf(head, place, offset, last);
      return chunk => {
        if (got + chunk.length > length) throw failed(url, 'the server sent more than it said');
        target.set(chunk, got);
        got += chunk.length;
      };
    };
    const enough = () => got >= Math.min(target.length, SECTOR);
    try {
      const headers = { ...rangeHeaders(offset, last), ...ifRange(version) };
      const head = await this.#agent.send({ method: 'GET', url, headers, signal, take });
      if (head.status !== PARTIAL) throw statusError(head, url, version);
    } catch (error) {
      // What came is good, and the rest is asked for anew.
      if (!enough() || signal?.aborted || !isTransient(error)) throw error;
    }
    if (enough()) return got;
    throw failed(url, `the server sent ${got} bytes of ${target.length}`, { transient: true });
  }

  #isElsewhere({ url }: Place): boolean {
    return url.href !== this.#url.href;
  }

  /** Before the next attempt: looks for the file again if its address led elsewhere. */
  async #recover(error: unknown, place: Place, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#isElsewhere(place) || this.#place !== place) return;
    this.#moving ??= this.#move(place).finally(() => {
      this.#moving = undefined;
    });
    const moving = this.#moving;
    try {
      await abortable<void>(signal, (resolve, reject) => {
        moving.then(resolve, reject);
        return () => {};
      });
    } catch (reason) {
      // A server that only has trouble may still be the better one.
      if (signal?.aborted || isExpired(error)) throw reason;
    }
  }

  async #move(from: Place): Promise<void> {
    const { url: href, version } = await locate(this.#agent, this.#url, this.#options);
    const url = new URL(href);
    if (!isSame(version, from.version, url.host !== from.url.host)) throw changed(this.#url);
    this.#place = { url, version };
  }
}

/** An address, and which contents are there. */
interface Place {
  readonly url: URL;
  readonly version: Version;
}

/** The bytes that an answer brings. @throws HttpError it is of another range, or another file. */
function lengthOf(head: HttpHead, { url, version }: Place, offset: bigint, last: bigint): number {
  const part = partOf(head, url);
  if (!isSame({ ...versionOf(head), size: part.size ?? version.size }, version)) throw changed(url);
  if (part.first !== offset || part.last > last) {
    const asked = `bytes ${offset}-${last} were asked for`;
    throw failed(url, `the server sent bytes ${part.first}-${part.last}, ${asked}`);
  }
  return Number(part.last - part.first) + 1;
}

/** Acts, and again after a while if that may help. */
async function tryAgain<T>(
  patience: Patience,
  act: () => Promise<T>,
  { signal, mayPass = isTransient, recover }: Trying,
): Promise<T> {
  let failure: unknown;
  return await retrying('GET', patience, act, {
    signal,
    isFinal: error => {
      failure = error;
      return !mayPass(error);
    },
    recover: async () => {
      if (failure instanceof HttpError) await sleep(failure.retryAfter, signal);
      await recover?.(failure);
    },
  });
}

interface Trying {
  readonly signal?: AbortSignal | undefined;
  /** Whether it may go better the next time. */
  mayPass?(error: unknown): boolean;
  recover?(error: unknown): Promise<void>;
}

const isTransient = (error: unknown) => error instanceof HttpError && error.transient;
const isExpired = (error: unknown) =>
  error instanceof HttpError && error.status !== undefined && EXPIRED.has(error.status);

/** Finds out where a file is, how long, and which. */
function locate(
  agent: HttpAgent,
  url: URL,
  { patience, followRedirects }: WebFileOptions,
  signal?: AbortSignal,
): Promise<Found> {
  const few = { ...patience, retries: Math.min(FEW, patience.retries) };
  return tryAgain(few, () => follow(agent, url, followRedirects, signal), { signal });
}

async function follow(
  agent: HttpAgent,
  from: URL,
  further: boolean,
  signal: AbortSignal | undefined,
): Promise<Found> {
  let url = from;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const headers = rangeHeaders(0n, 0n);
    const head = await agent.send({ method: 'GET', url, headers, signal });
    const target = further && REDIRECTS.has(head.status) && headerOf(head, 'location');
    if (!target) return { url: url.href, version: wholeVersion(head, url) };
    url = redirected(url, target);
  }
  throw failed(from, `more than ${MOST_REDIRECTS} redirects`);
}

/** @throws HttpError */
function redirected(url: URL, location: string): URL {
  if (URL.canParse(location, url.href)) return new URL(location, url.href);
  throw failed(url, `the server redirects to '${harmless(location)}', which is no address`);
}

/** The size and version of the whole file, by an answer to a request for its first byte. */
function wholeVersion(head: HttpHead, url: URL): Version {
  const empty =
    (head.status === 416 && headerOf(head, 'content-range') === 'bytes */0') ||
    (head.status === 200 && headerOf(head, 'content-length') === '0');
  if (empty) return { ...versionOf(head), size: 0n };
  const { size, first } = partOf(head, url);
  if (size === undefined) throw failed(url, 'the server does not say how long the file is');
  if (first !== 0n) throw failed(url, 'the server sent another part than it was asked for');
  if (size <= MAX_SIZE) return { ...versionOf(head), size };
  throw failed(url, `the server says that the file has ${size} bytes, more than a disk can have`);
}

interface Part {
  readonly first: bigint;
  readonly last: bigint;
  /** Of the whole file; undefined: not known to the server. */
  readonly size: bigint | undefined;
}

/** Which part of the file an answer has. @throws HttpError it has none. */
function partOf(head: HttpHead, url: URL): Part {
  if (head.status !== PARTIAL) throw statusError(head, url);
  const range = headerOf(head, 'content-range') ?? '';
  const match = /^bytes (\d{1,19})-(\d{1,19})\/(?:(\d{1,19})|\*)$/.exec(range.trim());
  const [, first, last, size] = match ?? [];
  if (first === undefined || BigInt(last!) < BigInt(first)) {
    const words = `the server sent a part of the file with Content-Range '${harmless(range)}'`;
    throw failed(url, `${words}: expected bytes FIRST-LAST/SIZE`);
  }
  return {
    first: BigInt(first),
    last: BigInt(last!),
    size: size === undefined ? undefined : BigInt(size),
  };
}

/** @param version which the file is known to have. */
function statusError(head: HttpHead, url: URL, version?: Version): BlockError {
  const { status } = head;
  const another = () => !isSame({ size: version!.size, ...versionOf(head) }, version!);
  if (version && (status === 416 || (status === 200 && another()))) return changed(url);
  const said = (words: string) => `${words} (status ${status})`;
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

function failed(
  url: URL,
  words: string,
  options: { status?: number; transient?: boolean; retryAfter?: number } = {},
): HttpError {
  return new HttpError('EIO', `${shownUrl(url)}: ${words}`, options);
}

function changed(url: URL): BlockError {
  return new BlockError('EIO', `${shownUrl(url)}: the file has changed on the server`);
}

function versionOf(head: HttpHead): Omit<Version, 'size'> {
  return { etag: headerOf(head, 'etag'), lastModified: headerOf(head, 'last-modified') };
}

/**
 * Whether two answers are of the same contents. Servers that have copies of one file may give each an
 * ETag of its own; the date is then what counts.
 */
function isSame(a: Version, b: Version, elsewhere = false): boolean {
  if (a.size !== b.size) return false;
  if (elsewhere && a.lastModified !== undefined && a.lastModified === b.lastModified) return true;
  if (a.etag !== undefined && b.etag !== undefined) return a.etag === b.etag;
  return a.lastModified === b.lastModified;
}

function rangeHeaders(first: bigint, last: bigint): Headers {
  return { range: `bytes=${first}-${last}`, 'accept-encoding': 'identity' };
}

/** The server sends the whole of a file that has changed; a weak ETag is no promise of its bytes. */
function ifRange({ etag, lastModified }: Version): Headers {
  const validator = etag?.startsWith('"') ? etag : lastModified;
  return validator === undefined ? {} : { 'if-range': validator };
}
