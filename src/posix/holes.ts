import { type Extent, MAX_SIZE } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { ExtentList } from '../block/extents.ts';
import { koffi, lastError, libcFunction } from './libc.ts';

const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
const EINVAL = 22;
const MAX_RUNS = 4096;

const lseek = libcFunction('int64_t lseek(int fd, int64_t offset, int whence)');

/**
 * Where the next data at or after `offset` begins; `end` when only a hole follows; undefined where
 * the system or the file system cannot tell.
 * @throws SystemError
 */
export function nextData(fd: number, offset: bigint, end: bigint): bigint | undefined {
  return seek(fd, offset, SEEK_DATA, end);
}

/**
 * Whether `length` bytes from `offset` on, all within the first `size` bytes of the file, are known
 * to be a hole; a file that has become shorter than `size` has none.
 * @throws SystemError
 */
export function isHole(fd: number, offset: bigint, length: number, size: bigint): boolean {
  const data = nextData(fd, offset, size);
  if (data === undefined || data < offset + BigInt(length)) return false;
  return data < size || BigInt(lseek()!(fd, 0, SEEK_END)) >= size;
}

/** A run of data that was found: file systems such as tmpfs look at every page to find its end. */
export interface DataRun {
  start: bigint;
  end: bigint;
}

/**
 * The runs of data and holes in `length` bytes of a file from `offset` on, at most 4096 of them;
 * where holes cannot be told, all is data. They end where the file ends.
 * @param last the run found last, which is trusted and kept up.
 * @throws SystemError; BlockError EIO when the file ends before `offset`.
 */
export function fileExtents(
  fd: number,
  offset: bigint,
  length: number,
  last: DataRun = { start: 0n, end: 0n },
): Extent[] {
  const list = new ExtentList();
  const end = offset + BigInt(length);
  let at = offset;
  while (at < end && list.extents.length < MAX_RUNS) {
    const known = at >= last.start && at < last.end;
    const data = known ? at : (nextData(fd, at, end) ?? at);
    const stop = data === end ? holeEnd(fd, at, end) : data;
    list.addHole(Number(stop - at));
    if (data === end) break;
    const hole = known ? last.end : (seek(fd, data, SEEK_HOLE, MAX_SIZE) ?? end);
    if (!known) Object.assign(last, { start: data, end: hole });
    // A file that is being changed may have lost the data again.
    at = hole > data && hole < end ? hole : end;
    list.addData(Number(at - data));
  }
  return list.extents;
}

/** Where a hole ends that reaches to `end` unless the file ends before. @throws BlockError EIO */
function holeEnd(fd: number, at: bigint, end: bigint): bigint {
  const last = lseek()?.(fd, 0, SEEK_END) ?? -1;
  const fileEnd = last < 0 ? end : BigInt(last);
  if (fileEnd >= end) return end;
  if (fileEnd > at) return fileEnd;
  const why = 'the file was cut short while it was served';
  throw new BlockError('EIO', `nothing is known of offset ${at}: ${why}`, { offset: at });
}

function seek(fd: number, offset: bigint, whence: number, end: bigint): bigint | undefined {
  const call = lseek();
  if (!call) return undefined;
  const result = call(fd, offset, whence);
  if (result >= 0) {
    const found = BigInt(result);
    return found < end ? found : end;
  }
  const errno = koffi()!.errno();
  if (errno === ENXIO) return end;
  if (errno === EINVAL) return undefined;
  throw lastError('lseek');
}
