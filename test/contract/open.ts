import { resolve } from 'node:path';
import type { BlockDevice, DeviceSource, OpenRequest } from '../../src/block/device.ts';
import type { Makers } from '../../src/block/recipe.ts';
import {
  type Context,
  type FilterDeclaration,
  filtered,
  makerOf,
  type PluginDeclaration,
} from '../../src/declare/declare.ts';
import {
  type ParameterDeclarations,
  type ParameterValues,
  parseParameters,
  splitParameter,
} from '../../src/declare/parameters.ts';
import { MAKERS } from '../../src/server/makers.ts';

const ROOMS = new URL('../../src/', import.meta.url);

/** A connection over a Unix socket that asks for the default export. */
export const REQUEST: OpenRequest = {
  exportName: '',
  readOnly: false,
  tls: false,
  peer: { family: 'unix' },
  signal: new AbortController().signal,
  disconnect: () => {},
};

/** What opens the devices of a plugin, configured by words as they stand on a command line. */
export async function pluginSource(name: string, ...words: string[]): Promise<DeviceSource> {
  const plugin = await load<PluginDeclaration>('plugins', name);
  const { parameters, context } = configure(plugin, words);
  return await plugin.create(parameters, context);
}

/** The same for a filter over another source. */
export async function filterSource(
  below: DeviceSource,
  name: string,
  ...words: string[]
): Promise<DeviceSource> {
  const filter = await load<FilterDeclaration>('filters', name);
  const { parameters, context } = configure(filter, words);
  return await filtered(filter, name, parameters, below, context);
}

/** A device of a plugin: `openPlugin('memory', '1M')`. */
export async function openPlugin(name: string, ...words: string[]): Promise<BlockDevice> {
  return await (await pluginSource(name, ...words)).open(REQUEST);
}

/** A filter over a plugin, and what it tells: debugging, warnings, and `shutdown`. */
export async function watchedSource(
  plugin: string | DeviceSource,
  filter: string,
): Promise<{ source: DeviceSource; notes: string[] }> {
  const [filterName, ...filterWords] = filter.split(' ');
  const [pluginName, ...pluginWords] = typeof plugin === 'string' ? plugin.split(' ') : [];
  const below =
    typeof plugin === 'string' ? await pluginSource(pluginName!, ...pluginWords) : plugin;
  const declaration = await load<FilterDeclaration>('filters', filterName!);
  const { parameters, context } = configure(declaration, filterWords);
  const notes: string[] = [];
  const note = (message: string) => void notes.push(message);
  const source = await filtered(declaration, filterName!, parameters, below, {
    ...context,
    debug: note,
    warn: note,
    shutdown: () => note('shutdown'),
  });
  return { source, notes };
}

/** A device as a filter shows it: `openOver(device, 'offset offset=512')`. */
export async function openOver(
  device: BlockDevice,
  filter: string,
  request: Partial<OpenRequest> = {},
): Promise<BlockDevice> {
  const [name, ...words] = filter.split(' ');
  const source = await filterSource({ open: () => device }, name!, ...words);
  return await source.open({ ...REQUEST, ...request });
}

/** What makes devices again, as another thread of a server would. @param plugin the one it runs. */
export function makersOf(plugin?: string): Makers {
  return async by => {
    if (by === undefined && plugin === undefined) throw new Error('made by no plugin');
    const maker =
      by === undefined
        ? (await load<PluginDeclaration>('plugins', plugin!)).remake
        : by.startsWith('filter:')
          ? makerOf(await load<FilterDeclaration>('filters', by.slice('filter:'.length)))
          : MAKERS[by];
    if (!maker) throw new Error(`nothing makes what '${by}' has made`);
    return maker;
  };
}

async function load<D>(floor: 'plugins' | 'filters', name: string): Promise<D> {
  const module = await import(new URL(`${floor}/${name}/${name}.ts`, ROOMS).href);
  return module.default as D;
}

function configure(declaration: PluginDeclaration | FilterDeclaration, words: readonly string[]) {
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
    debugFlags: new Map(),
    debug: () => {},
    warn: () => {},
    shutdown: () => {},
  };
  return { parameters: values as ParameterValues<ParameterDeclarations>, context };
}
