import { readFileSync } from 'node:fs';
import { callAsync, lastError, libcFunction, SystemError } from './libc.ts';

const ENOTTY = 25;
const BLKSSZGET = 0x1268;
const BLKDISCARD = 0x1277;
const BLKZEROOUT = 0x127f;
const BLKGETSIZE64 = 0x80081272;
const UNSUPPORTED: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOTTY', 'EINVAL']);

const ioctl = libcFunction('int ioctl(int fd, ulong request, void *argument)');

/** The size of a block device in bytes. @throws SystemError also where it cannot be asked. */
export function blockDeviceSize(fd: number): bigint {
  return ask(fd, BLKGETSIZE64, 8).readBigUInt64LE();
}

/** The size of a block device's sectors in bytes. @throws SystemError */
export function sectorSize(fd: number): number {
  return ask(fd, BLKSSZGET, 4).readInt32LE();
}

/** Whether the block device of that number (`stat.rdev`) spins; undefined: not known. */
export function isRotational(rdev: bigint): boolean | undefined {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  const device = `/sys/dev/block/${major}:${minor}`;
  // A partition has no queue of its own: the disk above it has.
  for (const file of [`${device}/queue/rotational`, `${device}/../queue/rotational`]) {
    try {
      return readFileSync(file, 'latin1').trim() === '1';
    } catch {}
  }
  return undefined;
}

/** Discards whole sectors. @returns false where the device cannot. @throws SystemError */
export function discardSectors(fd: number, offset: bigint, length: number): Promise<boolean> {
  return change(fd, BLKDISCARD, offset, length);
}

/** Zeroes whole sectors. @returns false where the device cannot. @throws SystemError */
export function zeroSectors(fd: number, offset: bigint, length: number): Promise<boolean> {
  return change(fd, BLKZEROOUT, offset, length);
}

function ask(fd: number, request: number, length: number): Buffer {
  const call = ioctl();
  if (!call) throw new SystemError('ioctl', ENOTTY);
  const answer = Buffer.alloc(length);
  if (call(fd, request, answer) < 0) throw lastError('ioctl');
  return answer;
}

async function change(
  fd: number,
  request: number,
  offset: bigint,
  length: number,
): Promise<boolean> {
  const call = ioctl();
  if (!call) return false;
  const range = BigUint64Array.of(offset, BigInt(length));
  try {
    await callAsync('ioctl', call, fd, request, new Uint8Array(range.buffer));
    return true;
  } catch (error) {
    if (error instanceof SystemError && UNSUPPORTED.has(error.code)) return false;
    throw error;
  }
}
