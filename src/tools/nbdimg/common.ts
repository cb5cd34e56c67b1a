import { UsageError } from '../../block/errors.ts';
import type { CommandLine, Options } from '../cli.ts';
import { PROGRAM } from './program.ts';

/** What nearly every command takes. */
export const COMMON = {
  object: { names: ['object'], value: 'required' },
  imageOpts: { names: ['image-opts'] },
  quiet: { names: ['q', 'quiet'] },
  format: { names: ['f', 'format'], value: 'required' },
  share: { names: ['U', 'force-share'] },
  noFollow: { names: ['no-follow'] },
} as const satisfies Options;

export const OUTPUT = {
  output: { names: ['output'], value: 'required' },
} as const satisfies Options;
export const CACHE = { cache: { names: ['t'], value: 'required' } } as const satisfies Options;
export const SOURCE_CACHE = {
  sourceCache: { names: ['T'], value: 'required' },
} as const satisfies Options;
export const PROGRESS = { progress: { names: ['p', 'progress'] } } as const satisfies Options;

const hint = `Try '${PROGRAM} --help' for more information`;

/** The options of a command line, by their keys. */
export class Given {
  readonly words: readonly string[];
  readonly #given: CommandLine<string>['given'];

  constructor({ given, words }: CommandLine<string>) {
    this.#given = given;
    this.words = words;
  }

  has(key: string): boolean {
    return this.#given.some(option => option.key === key);
  }

  text(key: string): string | undefined {
    return this.#given.findLast(option => option.key === key)?.value;
  }

  all(key: string): string[] {
    return this.#given.flatMap(option => (option.key === key ? (option.value ?? []) : []));
  }

  /** Whether JSON is wanted. @throws UsageError another form is. */
  get json(): boolean {
    const output = this.text('output');
    if (output === undefined || output === 'human') return false;
    if (output === 'json') return true;
    throw new UsageError('--output must be used with human or json as argument.');
  }

  /** The one word that there must be. @throws UsageError */
  get one(): string {
    if (this.words.length === 1) return this.words[0]!;
    throw new UsageError('Expecting one image file name', hint);
  }
}

export const usage = (words: string) => new UsageError(words, hint);

/** Checks the words for how caches are to be used; what they ask for is done in any case. */
export function checkCache(given: Given): void {
  for (const [key, what] of [
    ['cache', 'cache'],
    ['sourceCache', 'source cache'],
  ] as const) {
    const mode = given.text(key);
    const known = ['none', 'off', 'writeback', 'unsafe', 'directsync', 'writethrough'];
    if (mode !== undefined && !known.includes(mode))
      throw new UsageError(`Invalid ${what} option: ${mode}`);
  }
}

const UNITS = 'bkmgtpe';

/** A size as qemu-img takes it: `1.5G`, `64k`, `512`, `0x200`. @returns undefined: it is none. */
export function sizeOf(text: string): bigint | undefined {
  if (/^0x[0-9a-f]+$/i.test(text)) return BigInt(text);
  const match = /^(\d+)(\.\d+)?([bkmgtpe])?$/i.exec(text);
  if (!match) return undefined;
  const [, whole, fraction = '', suffix = 'b'] = match;
  const unit = 1024n ** BigInt(UNITS.indexOf(suffix.toLowerCase()));
  if (unit === 1n && Number(`0${fraction}`) !== 0) return undefined;
  const part = BigInt(Math.floor(Number(`0${fraction || '.0'}`) * Number(unit)));
  const size = BigInt(whole!) * unit + part;
  return size <= 2n ** 63n - 1n ? size : undefined;
}

/** The same, or an error. @throws UsageError */
export function neededSize(text: string, what: string): bigint {
  const size = sizeOf(text);
  if (size !== undefined) return size;
  throw new UsageError(
    `Invalid ${what} specified. You may use k, M, G, T, P or E suffixes for`,
    `${PROGRAM}: kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.`,
  );
}

const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** Bytes for people, of three digits: `1.5 GiB`. */
export function humanSize(bytes: bigint): string {
  const value = Number(bytes);
  const step = value < 1000 ? 0 : Math.floor(Math.floor(Math.log2(value / (1000 / 1024))) / 10);
  const scaled = value / 1024 ** step;
  return `${Number(scaled.toPrecision(3))} ${BINARY[step]}B`;
}
