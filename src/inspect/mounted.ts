import type { RequestOptions } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { type Mount, Tree } from '../formats/fs/tree.ts';
import { canonicalName, findSystems, mountableOf } from './system.ts';
import type { Mountable } from './volumes.ts';

export interface MountWishes extends RequestOptions {
  /** `DEVICE[:MOUNTPOINT[:OPTIONS[:TYPE]]]` each; without any, what the system on the disks mounts. */
  readonly mounts: readonly string[];
  /** How users say that, for messages. */
  readonly option: string;
}

/**
 * File systems as one tree: as it is wished, as the only operating system mounts them, or the only one.
 * @throws UsageError it must be said, or there is no such file system.
 */
export async function mountedTree(
  mountables: readonly Mountable[],
  { mounts, option, signal }: MountWishes,
): Promise<Tree> {
  if (mounts.length > 0) return new Tree(mounts.map(text => mountOf(text, mountables, option)));
  const systems = await findSystems(mountables, { signal });
  if (systems.length === 1) return new Tree(systems[0]!.mounts);
  const [only, ...others] = mountables;
  if (systems.length === 0 && only && others.length === 0) {
    return new Tree([{ path: '/', fileSystem: only.fileSystem }]);
  }
  const names = mountables.map(({ name }) => name).join(', ');
  const found = systems.length === 0 ? 'no operating system' : 'several operating systems';
  throw new UsageError(
    names === ''
      ? 'there is no file system that can be read'
      : `${found} found: say what to read with ${option}, one of ${names}`,
  );
}

function mountOf(text: string, mountables: readonly Mountable[], option: string): Mount {
  const prefix = text.startsWith('btrfsvol:') ? 'btrfsvol:' : '';
  const [name = '', at = '/', settings = ''] = text.slice(prefix.length).split(':');
  const wanted = prefix + canonicalName(name);
  const exact = mountables.find(candidate => candidate.name === wanted);
  const found = exact ? (mountableOf(exact.name, settings, mountables) ?? exact) : undefined;
  if (!found) {
    const names = mountables.map(candidate => candidate.name).join(', ') || 'none';
    throw new UsageError(`${option}: ${name}: no such file system: there is ${names}`);
  }
  return { path: `/${at.split('/').filter(Boolean).join('/')}`, fileSystem: found.fileSystem };
}
