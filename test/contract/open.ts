/** The parts of the package, by their names. */
import type { BlockDevice, DeviceSource, OpenRequest } from '../../src/block/device.ts';
import type { Makers } from '../../src/block/recipe.ts';
import * as configuring from '../../src/declare/configure.ts';
import {
  type FilterDeclaration,
  filtered,
  type PluginDeclaration,
} from '../../src/declare/declare.ts';
import * as testing from '../../src/testing/open.ts';

export const { REQUEST } = testing;

const ROOMS = new URL('../../src/', import.meta.url);

/** What opens the devices of a plugin, configured by words as they stand on a command line. */
export async function pluginSource(name: string, ...words: string[]): Promise<DeviceSource> {
  return configuring.pluginSource(await load<PluginDeclaration>('plugins', name), ...words);
}

/** The same for a filter over another source. */
export async function filterSource(
  below: DeviceSource,
  name: string,
  ...words: string[]
): Promise<DeviceSource> {
  return testing.filterSource(await load<FilterDeclaration>('filters', name), below, ...words);
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
  const { parameters, context } = configuring.configure(declaration, filterWords);
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
    const parts = [];
    if (plugin !== undefined) parts.push(await load<PluginDeclaration>('plugins', plugin));
    const filter = by?.startsWith('filter:') ? by.slice('filter:'.length) : undefined;
    if (filter !== undefined) parts.push(await load<FilterDeclaration>('filters', filter));
    return testing.makersOf(...parts)(by);
  };
}

async function load<D>(floor: 'plugins' | 'filters', name: string): Promise<D> {
  const module = await import(new URL(`${floor}/${name}/${name}.ts`, ROOMS).href);
  return module.default as D;
}
