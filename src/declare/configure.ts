import { resolve } from 'node:path';
import type { DeviceSource } from '../block/device.ts';
import { checkSource } from './check.ts';
import {
  type Context,
  type FilterDeclaration,
  filtered,
  type PluginDeclaration,
} from './declare.ts';
import {
  declaredKey,
  type ParameterDeclarations,
  type ParameterValues,
  parseParameters,
  splitParameter,
} from './parameters.ts';

// biome-ignore lint/suspicious/noExplicitAny: parts with other parameters are of other types
export type AnyPlugin = PluginDeclaration<any>;
// biome-ignore lint/suspicious/noExplicitAny: as above
export type AnyFilter = FilterDeclaration<any>;

/** What opens the devices of a plugin, configured by words as they stand on a command line. */
export async function pluginSource(
  plugin: AnyPlugin,
  ...words: readonly string[]
): Promise<DeviceSource> {
  const { parameters, context } = configure(plugin, words);
  return checkSource(plugin.name, await plugin.create(parameters, context));
}

/** A filter, and the word that it was loaded by. */
interface NamedFilter {
  readonly word: string;
  readonly declaration: AnyFilter;
}

/** The same under filters, the first of them on top. A key goes to the first that declares it. */
export async function stackSource(
  filters: readonly NamedFilter[],
  plugin: AnyPlugin,
  words: readonly string[],
): Promise<DeviceSource> {
  const ownerOf = (word: string) => {
    const { key } = splitParameter(word);
    if (key === undefined) return undefined;
    return filters.find(({ declaration }) => declaredKey(declaration.parameters, key));
  };
  const wordsOf = (owner: NamedFilter | undefined) => words.filter(word => ownerOf(word) === owner);
  let source = await pluginSource(plugin, ...wordsOf(undefined));
  for (const filter of filters.toReversed()) {
    const { declaration, word } = filter;
    const below = source;
    try {
      const { parameters, context } = configure(declaration, wordsOf(filter));
      const above = await filtered(declaration, word, parameters, below, context);
      source = checkSource(declaration.name, above);
    } catch (error) {
      await below.close?.();
      throw error;
    }
  }
  return source;
}

/** Parameters as they stand on a command line, and a context that tells nobody anything. */
export function configure(declaration: AnyPlugin | AnyFilter, words: readonly string[]) {
  const { values, given, extra } = parseParameters(
    declaration.parameters,
    words.map(splitParameter),
    { resolvePath: path => resolve(path), readPassword: (_parameter, value) => value },
    declaration.extra,
  );
  const context: Context = {
    readOnly: false,
    given,
    extra,
    words: words.map(splitParameter),
    stdioSafe: true,
    debugFlags: new Map(),
    debug: () => {},
    warn: () => {},
    shutdown: () => {},
  };
  return { parameters: values as ParameterValues<ParameterDeclarations>, context };
}
