import type { BlockDevice } from '../../block/device.ts';
import { type Part, readParts } from '../../block/parts.ts';

/**
 * Devices of one size in turns of `stripe` bytes, for reading.
 * @param devices their size is a multiple of `stripe`.
 */
export function stripedDevice(devices: readonly BlockDevice[], stripe: number): BlockDevice {
  const width = BigInt(devices.length);
  const unit = BigInt(stripe);
  const cut = (offset: bigint, length: number): Part[] => {
    const parts: Part[] = [];
    for (let at = offset, left = length; left > 0; ) {
      const turn = at / unit;
      const inside = Number(at % unit);
      const run = Math.min(left, stripe - inside);
      const place = (turn / width) * unit + BigInt(inside);
      parts.push({ device: devices[Number(turn % width)]!, offset: place, length: run });
      at += BigInt(run);
      left -= run;
    }
    return parts;
  };
  return {
    size: devices[0]!.size * width,
    multiConn: true,
    read: (offset, length, options) => readParts(cut(offset, length), options),
  };
}
