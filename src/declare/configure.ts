import { resolve } from 'node:path';
import type { DeviceSource } from '../block/device.ts';
import { checkSource } from './check.ts';
import type { Context, FilterDeclaration, PluginDeclaration } from './declare.ts';
import {
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
