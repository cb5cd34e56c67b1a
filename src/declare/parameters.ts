import { existsSync } from 'node:fs';
import { naming, UsageError } from '../block/errors.ts';
import { parseSize } from '../block/size.ts';

/** What a parameter of a plugin or filter may be, and the type of its value. */
export interface ParameterTypes {
  /** Any text. */
  string: string;
  /** A file, made absolute, as the server may change its directory. */
  path: string;
  /** Bytes: 512, 64k, 3s. */
  size: bigint;
  /** A whole number, decimal, octal (0 first) or hexadecimal (0x first). */
  integer: number;
  /** yes/no, true/false, on/off, 1/0. */
  boolean: boolean;
  /**
   * On or off, or, given an absolute path, on as long as that exists: to be asked each time. Not for
   * filters with `wrap`, whose parameters other threads get.
   */
  switch: () => boolean;
  /** Milliseconds, from `10ms`, `2s`, `1.5`. */
  delay: number;
  /** 0 to 1, from `10%`, `0.1` or `1:10`. */
  probability: number;
  /** A secret: as it stands, `-` to ask, `+FILE` or `-FD`. */
  password: string;
}

export type ParameterType = keyof ParameterTypes;

/** One parameter of a plugin or filter, as it declares it. */
export interface ParameterDeclaration {
  readonly type: ParameterType;
  /** One line for people. */
  readonly help: string;
  /** Other keys for it. */
  readonly aliases?: readonly string[];
  /** Must be given. */
  readonly required?: true;
  /** May be given without `key=`. At most one in a declaration. */
  readonly bare?: true;
  /** May be given more than once; the value is a list, empty when it is absent. */
  readonly repeat?: true;
  /** It may hold a secret, and is not shown by `-v`; passwords never are. */
  readonly secret?: true;
  /** The words allowed, for strings. */
  readonly choices?: readonly string[];
  /** Smallest and largest value, for numbers and sizes. */
  readonly minimum?: number | bigint;
  readonly maximum?: number | bigint;
  /** The value when it is absent, as one would type it. */
  readonly default?: string;
}

export type ParameterDeclarations = Readonly<Record<string, ParameterDeclaration>>;

type ValueOf<D extends ParameterDeclaration> = D extends { choices: readonly (infer C)[] }
  ? C
  : ParameterTypes[D['type']];

/** The values that a declaration's function receives, typed from the declaration. */
export type ParameterValues<D extends ParameterDeclarations> = {
  readonly [K in keyof D]: D[K] extends { repeat: true }
    ? readonly ValueOf<D[K]>[]
    : D[K] extends { required: true } | { default: string }
      ? ValueOf<D[K]>
      : ValueOf<D[K]> | undefined;
};

/** A parameter as it was given: its key and its typed value. */
export type GivenParameter<D extends ParameterDeclarations = ParameterDeclarations> = {
  readonly [K in keyof D]: { readonly key: K; readonly value: ValueOf<D[K]> };
}[keyof D];

/** How values that need the reader world are read; the tools give the real ones. */
export interface ParameterReader {
  resolvePath(path: string): string;
  readPassword(parameter: string, value: string): string;
}

/** `key=value` words, or a value alone, as they stand on a command line. */
export interface RawParameter {
  readonly key: string | undefined;
  readonly value: string;
}

/** Splits a word at its first `=`, when what is before it could be a key. */
export function splitParameter(word: string): RawParameter {
  const match = /^([A-Za-z][\w.-]*)=(.*)$/s.exec(word);
  return match ? { key: match[1], value: match[2]! } : { key: undefined, value: word };
}

/** Under which key a declaration has a parameter; undefined where it has none. */
export function declaredKey(declarations: ParameterDeclarations, key: string): string | undefined {
  if (Object.hasOwn(declarations, key)) return key;
  return Object.keys(declarations).find(declared => declarations[declared]!.aliases?.includes(key));
}

/** Whether a word may be shown to anybody. */
export function isSecret(declarations: ParameterDeclarations, { key }: RawParameter): boolean {
  const bare = Object.keys(declarations).find(each => declarations[each]!.bare);
  const declared = key === undefined ? bare : declaredKey(declarations, key);
  const declaration = declared === undefined ? undefined : declarations[declared];
  return declaration?.type === 'password' || declaration?.secret === true;
}

/** The words of a part's parameters, understood. */
export interface Parsed {
  readonly values: Record<string, unknown>;
  readonly given: readonly GivenParameter[];
  /** Words with keys that are not declared, and bare ones where no parameter is. */
  readonly extra: readonly RawParameter[];
}

/**
 * The typed values of a declaration's parameters.
 * @param extra other words are allowed; otherwise they are an error.
 * @throws UsageError naming the parameter, what is wrong and what would be right.
 */
export function parseParameters(
  declarations: ParameterDeclarations,
  words: readonly RawParameter[],
  reader: ParameterReader,
  extra = false,
): Parsed {
  const bareKey = Object.keys(declarations).find(key => declarations[key]!.bare);
  const given: GivenParameter[] = [];
  const others: RawParameter[] = [];
  for (const { key: word = bareKey, value } of words) {
    const key = word === undefined ? undefined : declaredKey(declarations, word);
    if (key !== undefined) {
      const declaration = declarations[key]!;
      if (!declaration.repeat && given.some(earlier => earlier.key === key)) {
        throw new UsageError(`${key}: given more than once`);
      }
      given.push({ key, value: parseValue(key, declaration, value, reader) });
    } else if (extra) others.push({ key: word, value });
    else if (word === undefined) throw new UsageError(`'${value}': expected key=value`);
    else throw unknownParameter(word, declarations);
  }
  return { values: valuesOf(declarations, given, reader), given, extra: others };
}

function valuesOf(
  declarations: ParameterDeclarations,
  given: readonly GivenParameter[],
  reader: ParameterReader,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [key, declaration] of Object.entries(declarations)) {
    const own: unknown[] = given.filter(each => each.key === key).map(({ value }) => value);
    if (own.length === 0 && declaration.required) throw missingParameter(key, declaration);
    if (own.length === 0 && declaration.default !== undefined) {
      own.push(parseValue(key, declaration, declaration.default, reader));
    }
    values[key] = declaration.repeat ? own : own[0];
  }
  return values;
}

function unknownParameter(key: string, declarations: ParameterDeclarations): UsageError {
  const known = Object.keys(declarations).join(', ');
  return new UsageError(
    `unknown parameter '${key}': ${known ? `expected one of ${known}` : 'there are none'}`,
  );
}

function missingParameter(key: string, declaration: ParameterDeclaration): UsageError {
  return new UsageError(`${key}: must be given: ${declaration.help}`);
}

function parseValue(
  key: string,
  declaration: ParameterDeclaration,
  text: string,
  reader: ParameterReader,
): ParameterTypes[ParameterType] {
  return naming(key, () => {
    const value = PARSERS[declaration.type](text, key, reader);
    checkRange(value, declaration, text);
    return value;
  });
}

function checkRange(value: unknown, declaration: ParameterDeclaration, text: string): void {
  const { choices, minimum, maximum } = declaration;
  if (choices && !choices.includes(text)) {
    throw new UsageError(`unknown value '${text}': expected one of ${choices.join(', ')}`);
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') return;
  if (minimum !== undefined && value < minimum) {
    throw new UsageError(`'${text}' is too small: expected at least ${minimum}`);
  }
  if (maximum !== undefined && value > maximum) {
    throw new UsageError(`'${text}' is too large: expected at most ${maximum}`);
  }
}

const PARSERS: {
  readonly [T in ParameterType]: (
    text: string,
    key: string,
    reader: ParameterReader,
  ) => ParameterTypes[T];
} = {
  string: text => text,
  path: (text, _key, reader) => {
    if (text === '') throw new UsageError('a path must not be empty');
    return reader.resolvePath(text);
  },
  size: parseSize,
  integer: parseInteger,
  boolean: parseBoolean,
  switch: parseSwitch,
  delay: parseDelay,
  probability: parseProbability,
  password: (text, key, reader) => reader.readPassword(key, text),
};

/** The words for what a parameter may be. */
export const PARAMETER_TYPES = Object.keys(PARSERS);

/** @throws UsageError */
export function parseInteger(text: string): number {
  const match = /^([+-]?)(?:0x([\da-f]+)|0([0-7]+)|(0|[1-9]\d*))$/i.exec(text.trim());
  if (!match) throw new UsageError(`cannot parse '${text}': expected a whole number`);
  const [, sign, hex, octal, decimal] = match;
  const magnitude = hex
    ? Number.parseInt(hex, 16)
    : Number.parseInt(octal ?? decimal!, octal ? 8 : 10);
  if (!Number.isSafeInteger(magnitude)) throw new UsageError(`'${text}' is too large`);
  return sign === '-' ? -magnitude : magnitude;
}

/** @throws UsageError */
export function parseBoolean(text: string): boolean {
  if (/^(1|true|t|yes|y|on)$/i.test(text)) return true;
  if (/^(0|false|f|no|n|off)$/i.test(text)) return false;
  throw new UsageError(`cannot parse '${text}': expected true or false`);
}

/** @throws UsageError */
function parseSwitch(text: string): () => boolean {
  if (text.startsWith('/')) return () => existsSync(text);
  const on = parseBoolean(text);
  return () => on;
}

/** Milliseconds. @throws UsageError */
export function parseDelay(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ns|us|μs|ms|s)?$/.exec(text);
  if (!match) throw new UsageError(`cannot parse '${text}': expected a time such as 100ms or 2s`);
  const scale = { ns: 1e-6, us: 1e-3, μs: 1e-3, ms: 1, s: 1000 }[match[2] ?? 's']!;
  return Number(match[1]) * scale;
}

/** @throws UsageError */
export function parseProbability(text: string): number {
  const number = '(\\d+(?:\\.\\d*)?(?:e[+-]?\\d+)?)';
  const match = new RegExp(`^${number}(?:(%)|:${number})?$`, 'i').exec(text);
  const value = match
    ? Number(match[1]) / (match[2] ? 100 : match[3] === undefined ? 1 : Number(match[3]))
    : Number.NaN;
  const fraction = match?.[3] !== undefined && Number(match[1]) === 0 ? 0 : value;
  if (!(fraction >= 0 && fraction <= 1)) {
    throw new UsageError(`cannot parse '${text}': expected 10%, 0.1 or 1:10`);
  }
  return fraction;
}
