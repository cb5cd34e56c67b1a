import { UsageError } from '../../block/errors.ts';

const SHORT = /^[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?$/;
const FORBIDDEN = /[\x00-\x1f"*/:<>?\\|\x7f\ufffd]/;
const LONGEST = 255;
const UNITS = 13;
/** Where in an entry the 13 UTF-16 units of a piece of a long name stand. */
const UNIT_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/** The names that an entry has: 11 bytes, and the long one when those do not say it all. */
export interface EntryName {
  readonly short: Buffer;
  readonly long: string | undefined;
}

/**
 * Names of the entries of one directory. Each short name is used once.
 * @throws UsageError for names that FAT cannot hold or tell apart.
 */
export class DirectoryNames {
  readonly #where: string;
  readonly #longs = new Map<string, string>();
  readonly #shorts = new Set<string>();
  readonly #tails = new Map<string, number>();

  /** @param where the directory, for errors. */
  constructor(where: string) {
    this.#where = where;
  }

  add(name: string): EntryName {
    this.#check(name);
    const upper = name.toUpperCase();
    if (SHORT.test(upper) && !this.#shorts.has(upper)) {
      this.#shorts.add(upper);
      return { short: shortBytes(upper), long: upper === name ? undefined : name };
    }
    return { short: shortBytes(this.#unusedShort(name)), long: name };
  }

  #check(name: string): void {
    const fail = (why: string) => new UsageError(`'${this.#where}/${name}': ${why}`);
    if (FORBIDDEN.test(name)) throw fail('FAT allows no such characters in a name');
    if (/[. ]$/.test(name)) throw fail('a name on FAT must not end with a dot or a space');
    if (name.length > LONGEST) throw fail(`a name on FAT has at most ${LONGEST} characters`);
    const folded = name.toUpperCase();
    const other = this.#longs.get(folded);
    if (other !== undefined) throw fail(`FAT cannot tell it from '${other}'`);
    this.#longs.set(folded, name);
  }

  /** A name such as LONGFI~1.TXT. */
  #unusedShort(name: string): string {
    const dot = name.lastIndexOf('.');
    const base = legal(dot > 0 ? name.slice(0, dot) : name) || '_';
    const extension = dot > 0 ? legal(name.slice(dot + 1)).slice(0, 3) : '';
    const ending = extension === '' ? '' : `.${extension}`;
    const stem = `${base.slice(0, 6)}${ending}`;
    for (let tail = this.#tails.get(stem) ?? 1; ; tail++) {
      const number = `~${tail}`;
      const short = `${base.slice(0, 8 - number.length)}${number}${ending}`;
      if (this.#shorts.has(short)) continue;
      this.#shorts.add(short);
      this.#tails.set(stem, tail + 1);
      return short;
    }
  }
}

function legal(text: string): string {
  return text
    .toUpperCase()
    .replace(/[. ]/g, '')
    .replace(/[^A-Z0-9!#$%&'()@^_`{}~-]/gu, '_');
}

function shortBytes(name: string): Buffer {
  const [base, extension = ''] = name.split('.');
  return Buffer.from(base!.padEnd(8) + extension.padEnd(3), 'latin1');
}

/** The entries in front of a file's own that spell its long name, the last piece first. */
export function longNameEntries(name: string, short: Buffer): Buffer {
  const pieces = Math.ceil(name.length / UNITS);
  const entries = Buffer.alloc(pieces * 32);
  const sum = checksum(short);
  for (let piece = 0; piece < pieces; piece++) {
    const entry = entries.subarray((pieces - 1 - piece) * 32);
    entry[0] = (piece + 1) | (piece === pieces - 1 ? 0x40 : 0);
    entry[11] = 0x0f;
    entry[13] = sum;
    for (const [index, place] of UNIT_PLACES.entries()) {
      const at = piece * UNITS + index;
      const unit = at === name.length ? 0 : at > name.length ? 0xffff : name.charCodeAt(at);
      entry.writeUInt16LE(unit, place);
    }
  }
  return entries;
}

function checksum(short: Buffer): number {
  return short.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}
