import { BlockError } from '../block/errors.ts';
import { harmless } from '../protocol/text.ts';
import type { Headers } from './connection.ts';
import { failed, shownUrl } from './errors.ts';
import { type HttpHead, headerOf } from './head.ts';
import { PARTIAL, statusError } from './status.ts';

/** Which contents a file has, by what its server says of it. */
export interface Version {
  readonly size: bigint;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

export function versionOf(head: HttpHead): Omit<Version, 'size'> {
  return { etag: headerOf(head, 'etag'), lastModified: headerOf(head, 'last-modified') };
}

/**
 * Whether two answers are of the same contents. Servers that have copies of one file may give each an
 * ETag of its own; the date is then what counts.
 */
export function isSame(a: Version, b: Version, elsewhere = false): boolean {
  if (a.size !== b.size) return false;
  if (elsewhere && a.lastModified !== undefined && a.lastModified === b.lastModified) return true;
  if (a.etag !== undefined && b.etag !== undefined) return a.etag === b.etag;
  return a.lastModified === b.lastModified;
}

export function changed(url: URL): BlockError {
  return new BlockError('EIO', `${shownUrl(url)}: the file has changed on the server`);
}

/** What an answer has of a file. */
export interface Part {
  readonly first: bigint;
  readonly last: bigint;
  /** Of the whole file; undefined: not known to the server. */
  readonly size: bigint | undefined;
}

/** Which part of the file an answer has. @throws HttpError it has none. */
export function partOf(head: HttpHead, url: URL): Part {
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

/** Asks for the bytes from one to another. */
export function rangeHeaders(first: bigint, last: bigint): Headers {
  return { range: `bytes=${first}-${last}`, 'accept-encoding': 'identity' };
}
