import { type Connections, type CopyOptions, copy as copyDevices } from '../copy/copy.ts';
import { Disk } from './disk.ts';

/** What can be copied from and to: a disk that was opened, a device, or connections to one. */
export type Copyable = Disk | Connections;

/**
 * Copies all of the source to the beginning of the destination, which is made longer where it is too
 * small and can be. Holes stay holes, and many requests are under way.
 * @throws BlockError the first that failed, with its offset; the reason of the signal.
 */
export function copy(
  source: Copyable,
  destination: Copyable,
  options: CopyOptions = {},
): Promise<void> {
  return copyDevices(devicesOf(source), devicesOf(destination), options);
}

const devicesOf = (end: Copyable): Connections => (end instanceof Disk ? end.connections : end);
