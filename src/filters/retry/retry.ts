import type { Call } from '../../block/around.ts';
import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { BlockError, errnoOf } from '../../block/errors.ts';
import { reopeningDevice } from '../../block/reopening.ts';
import { isTooSlow, type Patience, retrying } from '../../block/retrying.ts';
import { passSource } from '../../block/source.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'retry',
  description: 'opens the disk again when requests fail, and makes them again',
  parameters: {
    retries: { type: 'integer', minimum: 0, default: '5', help: 'How often a request is retried' },
    'retry-delay': {
      type: 'delay',
      minimum: 1,
      default: '2',
      help: 'How long to wait before the first time',
    },
    'retry-exponential': { type: 'boolean', default: 'true', help: 'Wait twice as long each time' },
    'retry-readonly': {
      type: 'boolean',
      default: 'false',
      help: 'After a failure open the disk for reading only',
    },
  },
  create(parameters, source, { debug }) {
    const patience: Patience = {
      retries: parameters.retries,
      delay: parameters['retry-delay'],
      growth: parameters['retry-exponential'] ? 2 : 1,
      debug,
    };
    const readOnly = parameters['retry-readonly'];
    const open = async (request: OpenRequest) => {
      const first = await retrying('open', patience, () => source.open(request), request);
      const again = async ({ signal = request.signal }) => {
        if (!readOnly) return source.open({ ...request, signal });
        return refusing(await source.open({ ...request, signal, readOnly }), first);
      };
      return reopeningDevice(first, again, { patience, signal: request.signal, isFinal });
    };
    return passSource(source, { open });
  },
});

const isFinal = (error: unknown, call: Call) =>
  isTooSlow(call, error) || errnoOf(error) === 'EROFS';

/** A disk for reading in the place of one that was for writing. */
function refusing(disk: BlockDevice, first: BlockDevice): BlockDevice {
  const refuse = () => {
    throw new BlockError('EROFS', 'after a failure the disk is for reading only');
  };
  const { fua, fastZero, zeroing } = first;
  return wrapDevice(disk, {
    ...PASS,
    fua,
    fastZero,
    zeroing,
    write: first.write && refuse,
    zero: first.zero && refuse,
    trim: first.trim && refuse,
    resize: first.resize && refuse,
    flush: disk.flush ?? (() => {}),
  });
}
