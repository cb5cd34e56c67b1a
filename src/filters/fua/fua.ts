import { andThen } from '../../block/answer.ts';
import type { BlockDevice, WriteOptions } from '../../block/device.ts';
import { settle } from '../../block/emulate.ts';
import { BlockError } from '../../block/errors.ts';
import { supportOf } from '../../block/support.ts';
import { PASS, type Wrapping, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'fua',
  description: 'changes what is said of durable writes, and what becomes of them',
  parameters: {
    fuamode: {
      type: 'string',
      choices: ['none', 'emulate', 'native', 'force', 'pass', 'discard'],
      default: 'none',
      help: 'What becomes of them',
    },
    'flush-on-close': { type: 'boolean', default: 'false', help: 'Flush when a client leaves' },
  },
  wrap(below, { fuamode, 'flush-on-close': flushes }, { readOnly }) {
    if (readOnly || !below.write) return below;
    return wrapDevice(below, { ...withMode(below, fuamode), ...(flushes && flushing(below)) });
  },
});

function withMode(below: BlockDevice, mode: string): Wrapping {
  const flush = () => {};
  switch (mode) {
    case 'none':
      return { ...PASS, fua: 'none' };
    case 'emulate':
      if (!below.flush) {
        throw new BlockError('EIO', "fuamode 'emulate' requires plugin flush support");
      }
      return { ...PASS, fua: 'emulated' };
    case 'native':
    case 'force':
      if (supportOf(below).fua === 'none') {
        throw new BlockError('EIO', `fuamode '${mode}' requires plugin fua support`);
      }
      return mode === 'native'
        ? durable(below, asked => asked)
        : { ...durable(below, () => true), flush };
    case 'discard':
      return { ...durable(below, () => false), flush };
    default:
      return PASS;
  }
}

/** Durable are those changes for which `when` says so, by the device's means or by a flush. */
function durable(below: BlockDevice, when: (asked: boolean) => boolean): Wrapping {
  const { write, trim, zero } = below;
  const change = <O extends WriteOptions>(
    options: O | undefined,
    make: (own: O) => void | PromiseLike<void>,
  ): void | PromiseLike<void> => {
    const asked = { ...options, fua: when(options?.fua ?? false) } as O;
    const answer = make({ ...asked, fua: asked.fua && below.fua === 'native' });
    return asked.fua ? andThen(answer, () => settle(below, asked)) : answer;
  };
  return {
    ...PASS,
    fua: 'native',
    write:
      write && ((offset, data, options) => change(options, own => below.write!(offset, data, own))),
    trim:
      trim &&
      ((offset, length, options) => change(options, own => below.trim!(offset, length, own))),
    zero:
      zero &&
      ((offset, length, options) => change(options, own => below.zero!(offset, length, own))),
  };
}

function flushing(below: BlockDevice): Pick<Wrapping, 'close'> {
  return {
    close: async () => {
      try {
        await below.flush?.();
      } finally {
        await below.close?.();
      }
    },
  };
}
