import { around } from '../../block/around.ts';
import type { BlockDevice, DeviceSource, OpenRequest } from '../../block/device.ts';
import { BlockError, errnoOf } from '../../block/errors.ts';
import { Reopenable } from '../../block/reopen.ts';
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
      return new RetriedDisk(source, request, first, patience, readOnly).device();
    };
    return passSource(source, { open });
  },
});

/** The disk of one connection, opened as often as it takes. */
class RetriedDisk {
  readonly #request: OpenRequest;
  readonly #patience: Patience;
  readonly #disk: Reopenable;
  /** How often it was opened again. */
  #reopens = 0;
  #reopening: Promise<void> | undefined;

  constructor(
    source: DeviceSource,
    request: OpenRequest,
    first: BlockDevice,
    patience: Patience,
    readOnly: boolean,
  ) {
    this.#request = request;
    this.#patience = patience;
    this.#disk = new Reopenable(first, async ({ signal = request.signal }) => {
      if (!readOnly) return source.open({ ...request, signal });
      return refusing(await source.open({ ...request, signal, readOnly }), first);
    });
  }

  device(): BlockDevice {
    const { signal } = this.#request;
    const device = around(this.#disk.device, (call, act) => {
      let tried = this.#reopens;
      return retrying(call.kind, this.#patience, act, {
        signal,
        isFinal: error => isTooSlow(call, error) || errnoOf(error) === 'EROFS',
        recover: async () => {
          // Another request may have had it opened again meanwhile.
          if (this.#reopens === tried) await this.#reopen();
          tried = this.#reopens;
        },
      });
    });
    const close = async () => {
      this.#patience.debug(`reopens needed: ${this.#reopens}`);
      await device.close?.();
    };
    return wrapDevice(device, { ...PASS, close });
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#disk
      .reopen({ signal: this.#request.signal })
      .then(() => {
        this.#reopens += 1;
      })
      .finally(() => {
        this.#reopening = undefined;
      });
    return this.#reopening;
  }
}

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
