import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Stat } from '../file-system.ts';
import { nameOf } from '../names.ts';
import type { Pages } from '../pages.ts';
import { typeOfMode } from '../posix-mode.ts';
import { type Extent, shortTime } from './record.ts';

/** Continuations of one record; more are a circle. */
const MOST_AREAS = 64;

/** What Rock Ridge adds to a record. */
export interface RockRidge {
  readonly name: string | undefined;
  readonly link: string | undefined;
  readonly stat: Partial<Stat>;
  /** It stands for a directory that is elsewhere. */
  readonly child: number | undefined;
  /** It is such a directory, and shown where it belongs. */
  readonly relocated: boolean;
  readonly compressed: boolean;
  readonly sparse: boolean;
}

/** How many bytes the entries of all records are preceded by; undefined: there are none. */
export function skippedBy(systemUse: Buffer): number | undefined {
  const marked = systemUse.length >= 7 && systemUse.toString('latin1', 0, 2) === 'SP';
  return marked && systemUse.readUInt16BE(4) === 0xbeef ? systemUse[6]! : undefined;
}

/** @throws BlockError EIO */
export async function readRockRidge(
  pages: Pages,
  systemUse: Buffer,
  blockSize: number,
  options?: RequestOptions,
): Promise<RockRidge> {
  const names: Buffer[] = [];
  const link = new LinkText();
  let stat: Partial<Stat> = {};
  let child: number | undefined;
  const kinds = new Set<string>();
  let area: Buffer | undefined = systemUse;
  for (let areas = 0; area; areas++) {
    if (areas > MOST_AREAS) throw damaged('iso: Rock Ridge', 'its continuations are a circle');
    let next: Continuation | undefined;
    for (const [kind, body] of entriesIn(area)) {
      kinds.add(kind);
      if (kind === 'NM' && !(body[0]! & NAME.special)) names.push(body.subarray(1));
      else if (kind === 'SL') link.add(body.subarray(1));
      else if (kind === 'PX') stat = { ...stat, ...owners(body) };
      else if (kind === 'PN') stat = { ...stat, device: deviceOf(body) };
      else if (kind === 'TF') stat = { ...stat, ...times(body) };
      else if (kind === 'CL') child = word(body, 0);
      else if (kind === 'CE')
        next = { block: word(body, 0), offset: word(body, 8), length: word(body, 16) };
    }
    area = next && (await continued(pages, next, blockSize, options));
  }
  return {
    name: names.length > 0 ? nameOf(Buffer.concat(names)) : undefined,
    link: kinds.has('SL') ? link.text() : undefined,
    stat,
    child,
    relocated: kinds.has('RE'),
    compressed: kinds.has('ZF'),
    sparse: kinds.has('SF'),
  };
}

const NAME = { special: 6 } as const;

interface Continuation extends Extent {
  readonly offset: number;
}

function continued(
  pages: Pages,
  { block, offset, length }: Continuation,
  blockSize: number,
  options?: RequestOptions,
): Buffer | PromiseLike<Buffer> {
  const what = 'iso: Rock Ridge continuation';
  if (length > 65536) throw damaged(what, `it has ${length} bytes`);
  return pages.structure(what, block * blockSize + offset, length, options);
}

/** Two letters, the length, a version, and the rest. */
function* entriesIn(area: Buffer): Generator<readonly [kind: string, body: Buffer]> {
  for (let at = 0; at + 4 <= area.length; ) {
    const length = area[at + 2]!;
    if (length < 4 || at + length > area.length) return;
    const kind = area.toString('latin1', at, at + 2);
    if (kind === 'ST') return;
    yield [kind, area.subarray(at + 4, at + length)];
    at += length;
  }
}

/** A number that is there in both byte orders; the first is taken. */
function word(body: Buffer, at: number): number {
  if (at + 4 > body.length) throw damaged('iso: Rock Ridge', 'an entry is cut short');
  return body.readUInt32LE(at);
}

function owners(body: Buffer): Partial<Stat> {
  const mode = word(body, 0);
  return {
    type: typeOfMode(mode),
    mode: mode & 0o7777,
    links: word(body, 8),
    uid: word(body, 16),
    gid: word(body, 24),
    ...(body.length >= 36 && { inode: BigInt(word(body, 32)) }),
  };
}

/** Both numbers in words of their own, or in one as Linux has them: 12 bits between 12 and 8. */
function deviceOf(body: Buffer): { major: number; minor: number } {
  const [high, low] = [word(body, 0), word(body, 8)];
  if (high > 0) return { major: high, minor: low };
  return { major: (low >>> 8) & 0xfff, minor: (low & 0xff) | ((low >>> 12) & 0xfff00) };
}

const TIMES = ['creation', 'mtime', 'atime', 'ctime', 'backup', 'expiration', 'effective'] as const;
const LONG_FORM = 0x80;

/** Times in the order of the bits that say which there are; the long form is not used in practice. */
function times(body: Buffer): Partial<Stat> {
  const flags = body[0]!;
  const found: Partial<globalThis.Record<(typeof TIMES)[number], bigint>> = {};
  if (flags & LONG_FORM) return {};
  let at = 1;
  for (const [bit, name] of TIMES.entries()) {
    if (!(flags & (1 << bit)) || at + 7 > body.length) continue;
    found[name] = shortTime(body.subarray(at, at + 7));
    at += 7;
  }
  const { mtime, atime = mtime, ctime = mtime } = found;
  return mtime === undefined ? {} : { mtime, atime: atime!, ctime: ctime! };
}

const COMPONENT = { more: 1, current: 2, parent: 4, root: 8 } as const;

/** The target of a link, which comes in components. */
class LinkText {
  readonly #parts: Buffer[] = [];
  #joined = true;

  add(components: Buffer): void {
    for (let at = 0; at + 2 <= components.length; ) {
      const [flags, length] = [components[at]!, components[at + 1]!];
      if (!this.#joined) this.#parts.push(Buffer.from('/'));
      this.#parts.push(textOfComponent(flags, components.subarray(at + 2, at + 2 + length)));
      this.#joined = (flags & (COMPONENT.more | COMPONENT.root)) !== 0;
      at += 2 + length;
    }
  }

  text(): string {
    return nameOf(Buffer.concat(this.#parts));
  }
}

function textOfComponent(flags: number, text: Buffer): Buffer {
  if (flags & COMPONENT.root) return Buffer.from('/');
  if (flags & COMPONENT.parent) return Buffer.from('..');
  if (flags & COMPONENT.current) return Buffer.from('.');
  return text;
}
