import { closeAll } from '../../block/close-all.ts';
import type { BlockDevice } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import type { Mount, Tree } from '../../formats/fs/tree.ts';
import * as mounted from '../../inspect/mounted.ts';
import {
  type Inventory,
  listVolumes,
  type Mountable,
  openFileSystems,
} from '../../inspect/volumes.ts';
import { atEnd } from '../ending.ts';
import type { FilesLine } from './commands.ts';
import { warn } from './failures.ts';
import { keysOf } from './keys.ts';
import { openDisk } from './open.ts';
import { has, type Source } from './sources.ts';

/** The disks of one machine, with what is on them. */
export interface Guest extends Inventory {
  readonly mountables: readonly Mountable[];
  /** Closes the disks, which happens anyway at the end. */
  close(): Promise<void>;
}

/** Done, but with a file system whose log holds changes that were not seen. */
export const STALE = 3;

/**
 * Opens disks, for reading unless told. File systems that cannot be opened are named on standard error.
 * @throws UsageError there is no disk; BlockError that begins with the disk's name.
 */
export async function openGuest(
  line: FilesLine,
  sources: readonly Source[],
  readOnly = true,
): Promise<Guest> {
  if (sources.length === 0) throw new UsageError('which disk? expected -a DISK, see --help');
  const disks: BlockDevice[] = [];
  const close = () => closeAll(disks.splice(0));
  const forget = atEnd(close);
  for (const source of sources) disks.push(await openDisk(source, readOnly));
  const failed = (name: string, words: string) => warn(line, `${name}: ${words}`);
  const inventory = await listVolumes(disks, failed, keysOf(line));
  const mountables = await openFileSystems(inventory.volumes, failed);
  return {
    ...inventory,
    mountables,
    close: () => {
      forget();
      return close();
    },
  };
}

/** What the command line, or the system on the disks, mounts at `/` and below. @throws UsageError */
export function mountedTree(line: FilesLine, { mountables }: Guest): Promise<Tree> {
  const mounts = line.given.filter(({ key }) => key === 'mount').map(({ value }) => value!);
  return mounted.mountedTree(mountables, { mounts, option: '--mount' });
}

/**
 * Tells of changes that were not seen, before anything is printed.
 * @param status what the command ends with otherwise.
 */
export function statusWith(
  line: FilesLine,
  mounts: readonly { readonly fileSystem: Mount['fileSystem'] }[],
  status: number,
): number {
  if (has(line, 'ignoreLog')) return status;
  const warnings = mounts.flatMap(({ fileSystem }) => fileSystem.warnings);
  for (const words of new Set(warnings)) warn(line, `warning: ${words}; --ignore-log accepts that`);
  return warnings.length > 0 && status === 0 ? STALE : status;
}
