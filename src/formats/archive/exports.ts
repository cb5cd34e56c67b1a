import { controllerForMany } from '../../block/abortable.ts';
import type { BlockDevice, DeviceSource, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { wrapSource } from '../../declare/declare.ts';
import { type ArchiveEntry, isNamed, type OpenEntry } from './entry.ts';

export interface ArchiveOptions extends Pick<OpenEntry, 'locks' | 'debug'> {
  /** The files of an archive. @throws BlockError */
  entries(archive: BlockDevice, options: RequestOptions): AsyncIterable<ArchiveEntry>;
  /** Which of them is served; without it each is an export. */
  readonly entry?: string | undefined;
  /** The parameter that says so. */
  readonly parameter?: string;
  /** Of several files that which is asked for without a name; the largest unless told. */
  fallback?(entries: readonly ArchiveEntry[]): ArchiveEntry;
}

/** Most files of an archive that are exports. */
const MOST = 1 << 16;

/** Files in the archives of a source as disks: one, or each as an export of its name. */
export function archiveSource(below: DeviceSource, options: ArchiveOptions): DeviceSource {
  const { entry } = options;
  if (entry !== undefined) {
    return wrapSource(below, async (archive, { signal }) => {
      const found = await findEntry(archive, entry, options, { signal });
      return await found.open(archive, { ...options, signal });
    });
  }
  const whole = wholeArchive(below);
  const named = wrapSource(whole, async (archive, { exportName, signal }) => {
    const found =
      exportName === ''
        ? fallbackOf(await listEntries(archive, options, { signal }), options)
        : await findEntry(archive, exportName, options, { signal });
    return await found.open(archive, { ...options, signal });
  });
  const all = async (request: Parameters<NonNullable<DeviceSource['list']>>[0]) => {
    const { signal } = controllerForMany();
    const archive = await whole.open({ ...request, exportName: '', signal, disconnect: () => {} });
    try {
      return await listEntries(archive, options, { signal });
    } finally {
      await archive.close?.();
    }
  };
  return {
    ...named,
    list: async request =>
      (await all(request)).map(({ name, description }) => ({ name, description })),
    defaultExport: async request => fallbackOf(await all(request), options).name,
  };
}

/** The archive itself, whatever export of it is asked for. */
function wholeArchive(below: DeviceSource): DeviceSource {
  return passSource(below, {
    open: request => below.open({ ...request, exportName: '' }),
  });
}

async function findEntry(
  archive: BlockDevice,
  wanted: string,
  { entries, entry: given, parameter }: ArchiveOptions,
  options: RequestOptions,
): Promise<ArchiveEntry> {
  for await (const entry of entries(archive, options)) if (isNamed(entry, wanted)) return entry;
  const where = given === undefined ? '' : `${parameter}: `;
  throw new BlockError('ENOENT', `${where}there is no file '${wanted}' in the archive`);
}

async function listEntries(
  archive: BlockDevice,
  { entries }: ArchiveOptions,
  options: RequestOptions,
): Promise<ArchiveEntry[]> {
  const list: ArchiveEntry[] = [];
  for await (const entry of entries(archive, options)) {
    if (list.push(entry) > MOST) {
      throw new BlockError('EIO', `there are more than ${MOST} files in the archive`);
    }
  }
  return list;
}

function fallbackOf(
  entries: readonly ArchiveEntry[],
  { fallback = largest }: ArchiveOptions,
): ArchiveEntry {
  if (entries.length > 0) return fallback(entries);
  throw new BlockError('ENOENT', 'there are no files in the archive');
}

function largest(entries: readonly ArchiveEntry[]): ArchiveEntry {
  return entries.reduce((most, entry) => (entry.size > most.size ? entry : most));
}
