import { MAX_SIZE } from '../block/device.ts';
import type { Patience } from '../block/retrying.ts';
import { harmless } from '../protocol/text.ts';
import type { HttpAgent } from './agent.ts';
import { failed } from './errors.ts';
import { type HttpHead, headerOf } from './head.ts';
import { REDIRECTS } from './status.ts';
import { tryAgain } from './trying.ts';
import { partOf, rangeHeaders, type Version, versionOf } from './version.ts';

/** Where a file was found in the end, and what it was then. Plain data. */
export interface Found {
  readonly url: string;
  readonly version: Version;
}

export interface Locating {
  /** Whether redirects are followed. */
  readonly followRedirects: boolean;
  /** How often what may go better is tried again. */
  readonly patience: Patience;
}

const MOST_REDIRECTS = 20;
/** To find a file a few attempts must do: somebody waits to be told that it is not there. */
const FEW = 3;

/** Finds out where a file is, how long, and which. */
export function locate(
  agent: HttpAgent,
  url: URL,
  { patience, followRedirects }: Locating,
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
