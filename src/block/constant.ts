import { sliceData, zeroes } from './data.ts';
import type { BlockDevice } from './device.ts';
import { verifyWrite } from './verify.ts';

/** Bytes that stay: writing what is there already succeeds, all else fails with EIO. */
export function constantDevice(bytes: Uint8Array): BlockDevice {
  const at = (offset: bigint, length: number) => sliceData(bytes, Number(offset), length);
  return {
    size: BigInt(bytes.length),
    multiConn: true,
    fua: 'native',
    read: at,
    write: (offset, data) => verifyWrite(offset, data, at(offset, data.length)),
    flush: () => {},
  };
}

/** A hole that stays one: writing anything but zeroes fails with EIO. Size in bytes. */
export function paddingDevice(size: bigint): BlockDevice {
  return {
    size,
    multiConn: true,
    fua: 'native',
    fastZero: 'native',
    read: (_offset, length) => zeroes(length),
    write: (offset, data) => verifyWrite(offset, data, zeroes(data.length)),
    zero: () => {},
    flush: () => {},
    extents: (_offset, length) => [{ length, hole: true, zero: true }],
  };
}
