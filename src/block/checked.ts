import { andThen } from './answer.ts';
import { misplaced, type RequestKind } from './bounds.ts';
import {
  type BlockDevice,
  type Data,
  type Extent,
  MAX_SIZE,
  type MetaContext,
  type StatusRun,
  type WriteBuffer,
  type WriteOptions,
  type ZeroOptions,
} from './device.ts';
import { BlockError } from './errors.ts';
import { badAnswer, checkDevice } from './well-formed.ts';
import { wrapDevice } from './wrap.ts';

/**
 * The device with each request and each answer held against the contract, so that a mistake of
 * either side has words instead of consequences. Methods that are absent stay so.
 * @throws BlockError EINVAL or ENOSPC for a bad request, EIO for a bad answer; the same from each
 * method. EIO at once for a device without the form of the contract.
 */
export function checked(device: BlockDevice): BlockDevice {
  checkDevice(device);
  const check = new Checks(device);
  const { write, writeBuffer, flush, trim, zero, cache, extents, resize } = device;
  return wrapDevice(device, {
    read(offset, length, options) {
      check.request('read', offset, length);
      return andThen(device.read(offset, length, options), data => answeredData(data, length));
    },
    write:
      write &&
      ((offset, data, options) => {
        check.bytes(data);
        check.request('write', offset, data.length, options);
        return device.write!(offset, data, options);
      }),
    writeBuffer:
      writeBuffer &&
      ((offset, length) => {
        check.request('write', offset, length);
        const lent = device.writeBuffer!(offset, length);
        return lent && checkedBuffer(lent, length, check);
      }),
    ...(flush && {
      flush(options) {
        check.open();
        return device.flush!(options);
      },
    }),
    trim:
      trim &&
      ((offset, length, options) => {
        check.request('trim', offset, length, options);
        return device.trim!(offset, length, options);
      }),
    zero:
      zero &&
      ((offset, length, options) => {
        check.request('zero', offset, length, options);
        return device.zero!(offset, length, options);
      }),
    cache:
      cache &&
      ((offset, length, options) => {
        check.request('cache', offset, length);
        return device.cache!(offset, length, options);
      }),
    extents:
      extents &&
      ((offset, length, options) => {
        check.request('extents', offset, length);
        const answer = device.extents!(offset, length, options);
        return andThen(answer, runs => answeredRuns(runs, length, isExtent));
      }),
    contexts: device.contexts?.map(context => checkedContext(context, check)),
    resize:
      resize &&
      ((size, options) => {
        check.size(size);
        return device.resize!(size, options);
      }),
    close() {
      check.open();
      check.closed = true;
      return device.close?.();
    },
  });
}

/** What holds for every request to a device. */
class Checks {
  readonly #device: BlockDevice;
  closed = false;

  constructor(device: BlockDevice) {
    this.#device = device;
  }

  open(): void {
    if (this.closed) throw new BlockError('EINVAL', 'the device has been closed');
  }

  request(kind: RequestKind, offset: bigint, length: number, options?: ZeroOptions): void {
    this.open();
    const refusal = misplaced(this.#device, kind, offset, length);
    if (refusal) throw refusal;
    this.options(options);
  }

  options({ fua, fastZero }: ZeroOptions = {}): void {
    if (fua && this.#device.fua !== 'native') {
      throw new BlockError('EINVAL', 'fua: the device has none of its own, flush afterwards');
    }
    if (fastZero && this.#device.fastZero !== 'native') {
      throw new BlockError('EINVAL', 'fastZero: the device does not understand it');
    }
  }

  bytes(data: Uint8Array): void {
    if (data instanceof Uint8Array) return;
    throw new BlockError('EINVAL', 'data: expected a Buffer or another Uint8Array');
  }

  size(size: bigint): void {
    this.open();
    if (typeof size === 'bigint' && size >= 0n && size <= MAX_SIZE) return;
    throw new BlockError('EINVAL', `size ${size}: expected a bigint from 0 to 2^63-1`);
  }
}

function checkedContext(context: MetaContext, check: Checks): MetaContext {
  return {
    name: context.name,
    status(offset, length, options) {
      check.request('extents', offset, length);
      const answer = context.status(offset, length, options);
      return andThen(answer, runs => answeredRuns(runs, length, isStatus));
    },
  };
}

function checkedBuffer(lent: WriteBuffer, length: number, check: Checks): WriteBuffer {
  let ended = false;
  const end = () => {
    if (ended) throw new BlockError('EINVAL', 'the write buffer has been given back already');
    ended = true;
  };
  return {
    memory: answeredData(lent.memory, length),
    done(options?: WriteOptions) {
      check.options(options);
      end();
      return lent.done(options);
    },
    abandon() {
      end();
      lent.abandon();
    },
  };
}

function answeredData(data: Data, length: number): Data {
  const fault = badAnswer(data, length);
  if (fault) throw fault;
  return data;
}

function answeredRuns<R extends { readonly length: number }>(
  runs: R[],
  length: number,
  isRun: (run: R) => boolean,
): R[] {
  const bad = (why: string) => new BlockError('EIO', `the device gave extents ${why}`);
  if (!Array.isArray(runs) || runs.length === 0) throw bad('that are none');
  let before = 0;
  for (const run of runs) {
    if (!isRun(run)) throw bad('of the wrong form');
    if (!Number.isSafeInteger(run.length) || run.length < 1) throw bad(`of ${run.length} bytes`);
    if (before >= length) throw bad(`past the ${length} bytes that were asked for`);
    before += run.length;
  }
  return runs;
}

const isExtent = ({ hole, zero }: Extent) => typeof hole === 'boolean' && typeof zero === 'boolean';
const isStatus = ({ flags }: StatusRun) => typeof flags === 'number' || typeof flags === 'bigint';
