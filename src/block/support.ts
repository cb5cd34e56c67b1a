import type { BlockDevice, Support } from './device.ts';

/** What the protocol has three answers for. */
export interface Supports {
  readonly fua: Support;
  readonly zero: Support;
  readonly fastZero: Support;
  readonly cache: Support;
}

/**
 * How a device's capabilities are had, with what it leaves unsaid filled in.
 * @param readOnly nobody may write, whatever the device can.
 */
export function supportOf(device: BlockDevice, readOnly = false): Supports {
  const cache = device.cache ? 'native' : (device.caching ?? 'none');
  if (readOnly || !device.write) return { fua: 'none', zero: 'none', fastZero: 'none', cache };
  return {
    fua: fuaOf(device),
    zero: zeroOf(device),
    fastZero: fastZeroOf(device),
    cache,
  };
}

function fuaOf({ flush, fua }: BlockDevice): Support {
  return fua === 'native' || fua === 'none' ? fua : flush ? 'emulated' : 'none';
}

function zeroOf({ zero, zeroing }: BlockDevice): Support {
  return zero ? 'native' : (zeroing ?? 'emulated');
}

function fastZeroOf(device: BlockDevice): Support {
  if (device.zero) return device.fastZero ?? 'none';
  // That zeroing is not fast where it is writing zeroes is known at once.
  return device.fastZero === 'none' ? 'none' : zeroOf(device);
}
