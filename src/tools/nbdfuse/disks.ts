import { closeAll } from '../../block/close-all.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import type { FileDisk } from '../../fuse/disk-file.ts';
import type { OpenOptions } from '../../handle/open.ts';
import { openFrom } from '../connecting.ts';
import type { Origin } from '../origins.ts';
import type { MountPoint } from './mount-point.ts';
import type { Settings } from './options.ts';

const LONGEST_NAME = 255;
/** Each has connections of its own. */
const MOST_EXPORTS = 1000;

/**
 * Opens the disk, or with --all-exports each.
 * @throws UsageError; BlockError, which begins with the name of the origin; the signal's reason.
 */
export async function openDisks(
  origin: Origin,
  point: MountPoint,
  settings: Settings,
  signal: AbortSignal,
): Promise<FileDisk[]> {
  const disks: FileDisk[] = [];
  try {
    for (const { name, exportName } of await wantedOf(origin, point, settings)) {
      const { device } = await openFrom(origin, { ...optionsOf(settings), exportName, signal });
      disks.push({ name, device });
    }
    return disks;
  } catch (error) {
    await closeAll(disks.map(({ device }) => device)).catch(() => {});
    throw error;
  }
}

function optionsOf({ connecting, readOnly, verbose }: Settings): OpenOptions {
  const debug = (words: string) => process.stderr.write(`nbdfuse: ${words}\n`);
  return {
    ...connecting,
    readOnly,
    ...(verbose && { debug }),
  };
}

/** What is to be opened, and what its file is called. */
interface Wanted {
  readonly name: string;
  readonly exportName?: string;
}

async function wantedOf(
  origin: Origin,
  { name }: MountPoint,
  { allExports }: Settings,
): Promise<Wanted[]> {
  if (!allExports) return [{ name }];
  if (!origin.list) throw new UsageError('--all-exports: there is one disk only');
  const exports = await origin.list();
  if (exports.length > MOST_EXPORTS) {
    throw new BlockError(
      'ENOMEM',
      `${exports.length} exports are too many: ${MOST_EXPORTS} at most`,
    );
  }
  return [...new Set(exports)].map(exportName => ({
    name: fileName(exportName, name),
    exportName,
  }));
}

/**
 * A name in a folder: what cannot be in one, and the sign for that, as in a URI.
 * @param unnamed for the export without a name.
 */
function fileName(exportName: string, unnamed: string): string {
  if (exportName === '') return unnamed;
  if (exportName === '.' || exportName === '..') return exportName.replaceAll('.', '%2E');
  const name = exportName.replace(/[/%\0-\x1f\x7f]/g, encodeURIComponent);
  if (Buffer.byteLength(name) <= LONGEST_NAME) return name;
  throw new BlockError('EINVAL', `an export's name is too long for a file: ${name}`);
}
