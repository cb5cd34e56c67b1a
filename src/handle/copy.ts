import { UsageError } from '../block/errors.ts';
import { type CompareOptions, compare as compareDevices } from '../copy/compare.ts';
import { type Connections, type CopyOptions, copy as copyDevices } from '../copy/copy.ts';
import type { HashOptions } from '../copy/hash/hash.ts';
import { Disk } from './disk.ts';

/** What can be copied from and to: a disk that was opened, a device, or connections to one. */
export type Copyable = Disk | Connections;

/**
 * Copies all of the source to the beginning of the destination, which is made longer where it is too
 * small and can be. Holes stay holes, and many requests are under way.
 * @throws BlockError the first that failed, with its offset; the reason of the signal.
 */
export async function copy(
  source: Copyable,
  destination: Copyable,
  options: CopyOptions = {},
): Promise<void> {
  return copyDevices(devicesOf(source), devicesOf(destination), options);
}

/**
 * Reads all of the source and as much of its copy, and compares them. What both know to be zero is not
 * read.
 * @throws BlockError EIO with the `offset` of the first difference; what else failed; the reason of the
 * signal.
 */
export async function compare(
  source: Copyable,
  destination: Copyable,
  options: CompareOptions = {},
): Promise<void> {
  return compareDevices(devicesOf(source), devicesOf(destination), options);
}

/**
 * The hash of all blocks of a disk, in hex, as `blksum` and `nbdcopy --blkhash` print it: the same
 * bytes have the same hash, wherever their holes are. Threads make it, and known zeroes are not read.
 * @throws BlockError what failed; RangeError for an option that is out of bounds; the reason of the
 * signal.
 */
export async function blockHash(source: Copyable, options: HashOptions = {}): Promise<string> {
  const { hashOf } = await import('../copy/hash/hash.ts');
  return hashOf(devicesOf(source), options);
}

function devicesOf(end: Copyable): Connections {
  if (typeof end === 'object' && end !== null) return end instanceof Disk ? end.connections : end;
  throw new UsageError(`expected a disk or a device, not ${String(end)}`);
}
