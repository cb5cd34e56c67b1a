import type { BlockDevice, ZeroOptions } from '../../block/device.ts';
import { zeroRange } from '../../block/emulate.ts';
import { BlockError } from '../../block/errors.ts';
import { supportOf } from '../../block/support.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'nozero',
  description: 'changes what is said of zeroing, and what becomes of it',
  parameters: {
    zeromode: {
      type: 'string',
      choices: ['none', 'emulate', 'notrim', 'plugin'],
      default: 'none',
      help: 'Whether and how ranges are zeroed',
    },
    fastzeromode: {
      type: 'string',
      choices: ['default', 'none', 'slow', 'ignore'],
      default: 'default',
      help: 'What becomes of requests that ask for speed',
    },
  },
  wrap(below, { zeromode, fastzeromode }, { readOnly }) {
    if (readOnly || !below.write) return below;
    if (zeromode === 'none') {
      return wrapDevice(below, { ...PASS, zero: undefined, zeroing: 'none', fastZero: 'none' });
    }
    const noFast = fastzeromode === 'none' ? ('none' as const) : undefined;
    if (zeromode === 'emulate') {
      return wrapDevice(below, { ...PASS, zero: undefined, zeroing: 'emulated', fastZero: noFast });
    }
    return zeroing(below, zeromode, fastzeromode);
  },
});

/** The device's own means, without leave to trim (`notrim`) or as they are. */
function zeroing(below: BlockDevice, mode: 'notrim' | 'plugin', fast: string): BlockDevice {
  const { zero, fastZero } = supportOf(below);
  if (zero === 'none') {
    throw new BlockError('EIO', `zeromode '${mode}' requires plugin zero support`);
  }
  const own = (options: ZeroOptions = {}): ZeroOptions => ({
    ...options,
    ...(mode === 'notrim' && { mayTrim: false }),
    ...(fast === 'ignore' && { fastZero: false }),
  });
  return wrapDevice(below, {
    ...PASS,
    fastZero: fast === 'none' ? 'none' : fast === 'default' ? fastZero : 'native',
    zero(offset, length, options) {
      if (options?.fastZero && fast === 'slow') {
        throw new BlockError('ENOTSUP', 'fastzeromode=slow: no zeroing is fast here');
      }
      return zeroRange(below, offset, length, own(options));
    },
  });
}
