import { abortable } from '../block/abortable.ts';
import type { BlockDevice, ReadOptions } from '../block/device.ts';
import type { BlockError } from '../block/errors.ts';
import type { HttpAgent } from './agent.ts';
import { IntoMemory } from './body.ts';
import type { Headers } from './connection.ts';
import { failed, HttpError } from './errors.ts';
import type { HttpHead } from './head.ts';
import { type Found, type Locating, locate } from './locate.ts';
import { PARTIAL, REDIRECTS, statusError } from './status.ts';
import { isTransient, tryAgain } from './trying.ts';
import { changed, isSame, partOf, rangeHeaders, type Version, versionOf } from './version.ts';

const SECTOR = 512;
/** Statuses of links that have expired, where another may be had. */
const EXPIRED: ReadonlySet<number> = new Set([403, 404, 410, ...REDIRECTS]);
/** So many links to a file may expire one after the other. */
const MOST_LINKS = 3;

/**
 * A file on a web server, read in parts. Where its address redirects to is found out once, and again
 * when that has expired. What fails and may go better is tried again, from where it broke off. A file
 * that is not the same any more is EIO.
 */
export class WebFile {
  readonly #agent: HttpAgent;
  readonly #options: Locating;
  readonly #url: URL;
  /** Where it is at present. */
  #place: Place;
  #moving: Promise<void> | undefined;

  private constructor(agent: HttpAgent, options: Locating, url: URL, found: Found) {
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
    options: Locating,
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
    let sink: IntoMemory | undefined;
    const take = (head: HttpHead) => {
      if (head.status !== PARTIAL) return undefined;
      sink = new IntoMemory(target.subarray(0, lengthOf(head, place, offset, last)));
      return sink;
    };
    const got = () => sink?.count ?? 0;
    const enough = () => got() >= Math.min(target.length, SECTOR);
    try {
      const headers = { ...rangeHeaders(offset, last), ...ifRange(version) };
      const head = await this.#agent.send({ method: 'GET', url, headers, signal, take });
      if (head.status !== PARTIAL) throw wrongStatus(head, place);
    } catch (error) {
      // What came is good, and the rest is asked for anew.
      if (!enough() || signal?.aborted || !isTransient(error)) throw error;
    }
    if (enough()) return got();
    throw failed(url, `the server sent ${got()} bytes of ${target.length}`, { transient: true });
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

/** Why the answer brings nothing. */
function wrongStatus(head: HttpHead, { url, version }: Place): BlockError {
  const another = () => !isSame({ ...versionOf(head), size: version.size }, version);
  const isChanged = head.status === 416 || (head.status === 200 && another());
  return isChanged ? changed(url) : statusError(head, url);
}

const isExpired = (error: unknown) =>
  error instanceof HttpError && error.status !== undefined && EXPIRED.has(error.status);

/** The server sends the whole of a file that has changed; a weak ETag is no promise of its bytes. */
function ifRange({ etag, lastModified }: Version): Headers {
  const validator = etag?.startsWith('"') ? etag : lastModified;
  return validator === undefined ? {} : { 'if-range': validator };
}
