import type { BlockDevice } from './device.ts';
import { PASS, wrapDevice } from './wrap.ts';

/** The device without what changes it. */
export function readOnlyDevice(below: BlockDevice): BlockDevice {
  const none = { write: undefined, writeBuffer: undefined, trim: undefined, zero: undefined };
  return wrapDevice(below, { ...PASS, ...none, resize: undefined });
}
