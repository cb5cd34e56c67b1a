import type { DeviceSource } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import type { Context } from '../../declare/declare.ts';
import {
  keysInOrder,
  type ParameterDeclarations,
  parseParameters,
  type RawParameter,
  splitParameter,
} from '../../declare/parameters.ts';
import type { Loaded } from './load.ts';
import type { Log } from './log.ts';
import type { DebugFlag } from './options.ts';
import { OUTSIDE } from './outside.ts';

/** A plugin under its filters, the first of them nearest the client. */
export interface Stack {
  readonly filters: readonly Loaded<'filter'>[];
  readonly plugin: Loaded<'plugin'>;
}

export interface Surroundings {
  readonly readOnly: boolean;
  readonly debugFlags: readonly DebugFlag[];
  readonly log: Log;
}

type Part = Loaded<'filter'> | Loaded<'plugin'>;

/**
 * Gives each `key=value` to the first filter that declares the key, else to the plugin, and makes
 * the source of the whole stack.
 * @throws UsageError that begins with the part's name.
 */
export async function configure(
  { filters, plugin }: Stack,
  words: readonly string[],
  surroundings: Surroundings,
): Promise<DeviceSource> {
  warnOfUnusedFlags([...filters, plugin], surroundings);
  const dealt = deal(filters, words);
  let source = await make(plugin, dealt.plugin, surroundings, (values, context) =>
    plugin.declaration.create(values as never, context),
  );
  for (const [index, filter] of [...filters.entries()].reverse()) {
    const below = source;
    source = await make(filter, dealt.filters[index]!, surroundings, (values, context) =>
      filter.declaration.create(values as never, below, context),
    );
  }
  return source;
}

function deal(filters: readonly Loaded<'filter'>[], words: readonly string[]) {
  const forFilters: RawParameter[][] = filters.map(() => []);
  const forPlugin: RawParameter[] = [];
  for (const parameter of words.map(splitParameter)) {
    const { key } = parameter;
    const declares = (part: Part) =>
      key !== undefined && Object.hasOwn(part.declaration.parameters, key);
    const index = filters.findIndex(declares);
    (forFilters[index] ?? forPlugin).push(parameter);
  }
  return { filters: forFilters, plugin: forPlugin };
}

async function make(
  part: Part,
  words: readonly RawParameter[],
  surroundings: Surroundings,
  create: (
    values: Record<string, unknown>,
    context: Context,
  ) => DeviceSource | Promise<DeviceSource>,
): Promise<DeviceSource> {
  const { name, extra, parameters } = part.declaration;
  const rest = extra ? new Map<string, string>() : undefined;
  const { log, readOnly } = surroundings;
  try {
    const declared = parameters as ParameterDeclarations;
    const values = parseParameters(declared, words, OUTSIDE, rest);
    return await create(values, {
      readOnly,
      extra: rest ?? new Map(),
      order: keysInOrder(declared, words),
      debugFlags: flagsOf(name, surroundings),
      debug: message => log.debug(`${name}: ${message}`),
      warn: message => log.error(`${name}: ${message}`),
    });
  } catch (error) {
    if (error instanceof Error) error.message = `${name}: ${error.message}`;
    throw error;
  }
}

function flagsOf(name: string, { debugFlags }: Surroundings): Map<string, number> {
  const own = debugFlags.filter(({ part }) => part === name);
  return new Map(own.map(({ flag, value }) => [flag, value]));
}

function warnOfUnusedFlags(parts: readonly Part[], { debugFlags, log }: Surroundings): void {
  const names = new Set(['nbdkit', ...parts.map(part => part.declaration.name)]);
  for (const { part, flag } of debugFlags) {
    if (!names.has(part)) log.error(`warning: debug flag -D ${part}.${flag} was not used`);
  }
}

/** The plugin needs a name. @throws UsageError */
export function pluginName(words: readonly string[]): string {
  const [name] = words;
  if (name === undefined) {
    throw new UsageError('no plugin is given: expected nbdkit PLUGIN [KEY=VALUE ...], see --help');
  }
  return name;
}
