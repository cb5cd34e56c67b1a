/** What a module of someone's own may declare, and the words for what it gets wrong. */
import { andThen } from '../block/answer.ts';
import type { DeviceSource } from '../block/device.ts';
import { messageOf, UsageError } from '../block/errors.ts';
import {
  aBoolean,
  aFunction,
  aString,
  type Check,
  faultOf,
  listOf,
  mustBe,
  oneOf,
  optional,
} from '../block/shape.ts';
import { passSource } from '../block/source.ts';
import { checkDevice } from '../block/well-formed.ts';
import { definedAs, type FilterDeclaration, type PluginDeclaration } from './declare.ts';
import {
  PARAMETER_TYPES,
  type ParameterDeclaration,
  type ParameterDeclarations,
  parseParameters,
  splitParameter,
} from './parameters.ts';

const yes = optional(mustBe('true or left out', value => value === true));
const bound = optional(
  mustBe('a number or a bigint', value => typeof value === 'number' || typeof value === 'bigint'),
);

const PARAMETER: Readonly<Record<keyof ParameterDeclaration, Check>> = {
  type: oneOf(PARAMETER_TYPES),
  help: aString,
  aliases: optional(listOf(aString)),
  required: yes,
  bare: yes,
  repeat: yes,
  secret: yes,
  choices: optional(listOf(aString)),
  minimum: bound,
  maximum: bound,
  default: optional(aString),
};

/** A member that nobody reads is a misspelt one. */
function knownOnly(value: object, known: readonly string[], name = ''): string | undefined {
  const strange = Object.keys(value).find(member => !known.includes(member));
  const path = name === '' ? strange : `${name}.${strange}`;
  return strange && `${path} is not known: expected one of ${known.join(', ')}`;
}

/** A default is read as if somebody had typed it, but for what a secret stands for. */
function badDefault(declaration: ParameterDeclaration, name: string): string | undefined {
  if (declaration.default === undefined || declaration.type === 'password') return undefined;
  const { required: _, ...given } = declaration;
  const reader = { resolvePath: (path: string) => path, readPassword: () => '' };
  try {
    parseParameters({ default: given }, [], reader);
    return undefined;
  } catch (error) {
    return `${name}.${messageOf(error)}`;
  }
}

const parameter: Check = (value, name) => {
  const fault = faultOf(value, PARAMETER, name);
  if (fault !== undefined) return fault;
  const declaration = value as ParameterDeclaration;
  return knownOnly(declaration, Object.keys(PARAMETER), name) ?? badDefault(declaration, name);
};

const parameters: Check = (value, name) => {
  if (typeof value !== 'object' || value === null) return mustBe('an object')(value, name);
  const declared = value as ParameterDeclarations;
  for (const key of Object.keys(declared)) {
    if (splitParameter(`${key}=`).key !== key) {
      return `${name}: '${key}' cannot be given: a key is a letter, then letters, digits, _ - .`;
    }
    const fault = parameter(declared[key], `${name}.${key}`);
    if (fault !== undefined) return fault;
  }
  const bare = Object.keys(declared).filter(key => declared[key]!.bare);
  return bare.length > 1 ? `${name}: only one may be bare, not ${bare.join(' and ')}` : undefined;
};

const isNames = (value: unknown) =>
  Array.isArray(value) && value.every(each => typeof each === 'string');

type Member = keyof PluginDeclaration | keyof FilterDeclaration;

const DECLARATION: Readonly<Record<Exclude<Member, keyof Made>, Check>> = {
  name: mustBe('a name without spaces', value => typeof value === 'string' && /^\S+$/.test(value)),
  description: aString,
  parameters,
  extra: optional(aBoolean),
  debugFlags: optional(mustBe('a list of names', isNames)),
  facts: optional(aFunction),
  remake: optional(aFunction),
};

/** What only filters have. */
const FILTER = { wrap: optional(aFunction), check: optional(aFunction) };

/** A plugin has `create`; a filter has that, or `wrap`, or both. */
function badMaker(kind: Kind, { create, wrap }: Made): string | undefined {
  if (kind === 'plugin' || create !== undefined) return aFunction(create, 'create');
  return aFunction(wrap, 'wrap');
}

type Kind = 'plugin' | 'filter';
type Made = Readonly<Record<'create' | 'wrap', unknown>>;

/**
 * Holds the default export of a module against what a plugin or filter may declare.
 * @throws UsageError which member is wrong, and what would be right.
 */
export function checkDeclaration(kind: Kind, value: unknown): void {
  if (typeof value !== 'object' || value === null || !('create' in value || 'wrap' in value)) {
    const maker = kind === 'plugin' ? 'definePlugin' : 'defineFilter';
    throw new UsageError(`is not a ${kind}: expected its default export to come from ${maker}`);
  }
  const defined = definedAs(value) ?? kind;
  if (defined !== kind) throw new UsageError(`is a ${defined}, not a ${kind}`);
  const shape = kind === 'filter' ? { ...DECLARATION, ...FILTER } : DECLARATION;
  const members = [...Object.keys(shape), 'create'];
  const fault = badMaker(kind, value as Made) ?? faultOf(value, shape) ?? knownOnly(value, members);
  if (fault !== undefined) throw new UsageError(fault);
}

const SOURCE: Readonly<Record<keyof DeviceSource, Check>> = {
  preconnect: optional(aFunction),
  open: aFunction,
  list: optional(aFunction),
  defaultExport: optional(aFunction),
  close: optional(aFunction),
};

/**
 * What `create` has given, with each of its devices held against the contract as it is opened.
 * @throws UsageError it is no source.
 */
export function checkSource(part: string, source: DeviceSource): DeviceSource {
  const fault = faultOf(source, SOURCE, 'source');
  if (fault !== undefined) throw new UsageError(`create: ${fault}`);
  return passSource(source, {
    open: request => andThen(source.open(request), device => checkDevice(device, part)),
  });
}
