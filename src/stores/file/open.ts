import type { BigIntStats, Stats } from 'node:fs';
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../block/errors.ts';
import { blockDeviceSize, isRotational } from '../../posix/blkdev.ts';

/** A file or block device that was opened. */
export interface OpenFile {
  readonly fd: number;
  readonly writable: boolean;
  /** Not ours to close. */
  readonly shared: boolean;
  readonly size: bigint;
  readonly blockDevice: boolean;
  readonly rotational: boolean | undefined;
  /** Takes less space than its size: some of it may be holes. */
  readonly sparse: boolean;
}

/** Only regular files and block devices are served. */
export function isServable(stat: Stats | BigIntStats): boolean {
  return stat.isFile() || stat.isBlockDevice();
}

/** What a path or descriptor in a parameter is. @throws UsageError naming the parameter. */
export function statOf(key: string, file: string | number): Stats {
  try {
    return typeof file === 'number' ? fstatSync(file) : statSync(file);
  } catch (error) {
    throw new UsageError(`${key}: '${file}': ${reasonOf(error)}`);
  }
}

/**
 * Opens for reading and writing, or only reading when that is all that is allowed.
 * @throws BlockError ENOENT when it is neither a regular file nor a block device.
 */
export function openFile(path: string, readOnly: boolean): OpenFile {
  // A pipe in the place of a file must not make the server wait for its other end.
  const flags = constants.O_NONBLOCK;
  try {
    if (!readOnly) {
      const fd = tryWritable(path, flags | constants.O_RDWR);
      if (fd !== undefined) return describeFile(fd, path, { writable: true, shared: false });
    }
    const fd = openSync(path, flags | constants.O_RDONLY);
    return describeFile(fd, path, { writable: false, shared: false });
  } catch (error) {
    if (error instanceof BlockError) throw error;
    throw new BlockError(errnoOf(error), `open: '${path}': ${reasonOf(error)}`, { cause: error });
  }
}

/** A descriptor that was inherited, for every connection alike. */
export function sharedDescriptor(fd: number, readOnly: boolean): OpenFile {
  return describeFile(fd, `descriptor ${fd}`, {
    writable: !readOnly && isWritable(fd),
    shared: true,
  });
}

const READ_ONLY: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'EISDIR']);

function tryWritable(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags);
  } catch (error) {
    if (READ_ONLY.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function isWritable(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
    return flags === null || (Number.parseInt(flags[1]!, 8) & 3) !== constants.O_RDONLY;
  } catch {
    return true;
  }
}

/** What was opened; closes it when that cannot be served. @throws BlockError */
export function describeFile(
  fd: number,
  path: string,
  { writable, shared }: { writable: boolean; shared: boolean },
): OpenFile {
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!isServable(stat)) {
      throw new BlockError('ENOENT', `'${path}': neither a regular file nor a block device`);
    }
    const blockDevice = stat.isBlockDevice();
    return {
      fd,
      writable,
      shared,
      blockDevice,
      size: blockDevice ? blockDeviceSize(fd) : stat.size,
      rotational: blockDevice ? isRotational(stat.rdev) : undefined,
      sparse: !blockDevice && stat.blocks * 512n < stat.size,
    };
  } catch (error) {
    if (!shared) closeSync(fd);
    throw error;
  }
}
