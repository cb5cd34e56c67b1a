import { controllerForMany } from '../block/abortable.ts';
import type { BlockDevice, DeviceSource, OpenRequest } from '../block/device.ts';
import type { Makers } from '../block/recipe.ts';
import { asSource } from '../block/source.ts';
import { checkSource } from '../declare/check.ts';
import { type AnyFilter, type AnyPlugin, configure, pluginSource } from '../declare/configure.ts';
import { filtered, makerOf } from '../declare/declare.ts';
import { MAKERS } from '../server/makers.ts';

const { signal } = controllerForMany();

/** A connection over a Unix socket that asks for the default export. */
export const REQUEST: OpenRequest = {
  exportName: '',
  readOnly: false,
  tls: false,
  peer: { family: 'unix' },
  signal,
  disconnect: () => {},
};

/** What opens the devices of a filter over a device, or over another source. */
export async function filterSource(
  filter: AnyFilter,
  below: BlockDevice | DeviceSource,
  ...words: readonly string[]
): Promise<DeviceSource> {
  const { parameters, context } = configure(filter, words);
  const given = asSource(below);
  const source = await filtered(filter, filter.name, parameters, given, context);
  return source === given ? given : checkSource(filter.name, source);
}

/** A device of a plugin: `openPlugin(memory, 'size=1M')`. */
export async function openPlugin(plugin: AnyPlugin, ...words: string[]): Promise<BlockDevice> {
  return await (await pluginSource(plugin, ...words)).open(REQUEST);
}

/** A device of a filter over another: `openFilter(offset, device, 'offset=512')`. */
export async function openFilter(
  filter: AnyFilter,
  below: BlockDevice | DeviceSource,
  ...words: string[]
): Promise<BlockDevice> {
  return await (await filterSource(filter, below, ...words)).open(REQUEST);
}

/** What makes devices again, as another thread of a server would, that knows these parts. */
export function makersOf(...parts: readonly (AnyPlugin | AnyFilter)[]): Makers {
  return async by => {
    const maker = by !== undefined && Object.hasOwn(MAKERS, by) ? MAKERS[by] : ownMaker(parts, by);
    if (maker) return maker;
    const what = by === undefined ? 'the plugin' : `'${by}'`;
    throw new Error(`nothing makes the device of ${what} again: say makers: makersOf(...)`);
  };
}

function ownMaker(parts: readonly (AnyPlugin | AnyFilter)[], by: string | undefined) {
  for (const part of parts) {
    if (by === undefined && 'remake' in part) return part.remake;
    if (by === `filter:${part.name}`) return makerOf(part as AnyFilter);
  }
  return undefined;
}
