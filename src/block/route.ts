import { closeAll } from './close-all.ts';
import type { DeviceSource, ExportEntry, ListRequest } from './device.ts';
import { BlockError } from './errors.ts';

/** Names in a message: more would not be read. */
const NAMED = 10;

/**
 * Several sources as one, each the export of a name: it is asked for its own default export. The
 * first one is the default export of all, unless there is one whose name is "".
 * @param sources by export name, at least one, in the order in which they are listed.
 */
export function routeSources(sources: ReadonlyMap<string, DeviceSource>): DeviceSource {
  const [first] = sources.keys();
  const fallback = sources.has('') ? '' : first!;
  return {
    async open(request) {
      const source = sources.get(request.exportName || fallback);
      if (!source) throw new BlockError('ENOENT', unknown(request.exportName, sources));
      await source.preconnect?.(request.peer);
      const exportName = (await source.defaultExport?.(request)) ?? '';
      return await source.open({ ...request, exportName });
    },
    list: request =>
      Promise.all([...sources].map(([name, source]) => describe(name, source, request))),
    defaultExport: () => fallback,
    close: () => closeAll(sources.values()),
  };
}

/** What a source says of its default export, under its name here. */
async function describe(
  name: string,
  source: DeviceSource,
  request: ListRequest,
): Promise<ExportEntry> {
  const own = (await source.defaultExport?.(request)) ?? '';
  const entries = (await source.list?.(request)) ?? [];
  return { name, description: entries.find(entry => entry.name === own)?.description };
}

function unknown(name: string, sources: ReadonlyMap<string, DeviceSource>): string {
  const names = [...sources.keys()].map(known => `'${known}'`);
  const rest = names.length - NAMED;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return `there is no export '${name}': expected ${names.slice(0, NAMED).join(', ')}${more}`;
}
