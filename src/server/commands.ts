import type { BlockDevice, WriteBuffer, WriteOptions } from '../block/device.ts';
import { settle, zeroRange } from '../block/emulate.ts';
import { Command, CommandFlag } from '../protocol/constants.ts';
import type { RequestHeader } from '../protocol/request.ts';

/** Whether what a request does must be durable when it is answered. */
export const isFua = ({ flags }: RequestHeader) => (flags & CommandFlag.fua) !== 0;

/** Does a flush, trim, cache or write zeroes: what has no data in the request nor in the answer. */
export function perform(device: BlockDevice, request: RequestHeader): void | PromiseLike<void> {
  const { type, flags, offset, length } = request;
  switch (type) {
    case Command.flush:
      return device.flush!();
    case Command.cache:
      return device.cache!(offset, length);
    case Command.trim:
      return trim(device, request);
    case Command.writeZeroes: {
      const mayTrim = (flags & CommandFlag.noHole) === 0;
      const fastZero = (flags & CommandFlag.fastZero) !== 0;
      return zeroRange(device, offset, length, { fua: isFua(request), mayTrim, fastZero });
    }
  }
}

async function trim(device: BlockDevice, request: RequestHeader): Promise<void> {
  const options = { fua: isFua(request) };
  await device.trim!(request.offset, request.length, options);
  await settle(device, options);
}

/** Writes the payload of a request, at once where the device can. */
export function write(
  device: BlockDevice,
  request: RequestHeader,
  data: Uint8Array,
): void | PromiseLike<void> {
  const options = { fua: isFua(request) };
  return settled(device, device.write!(request.offset, data, options), options);
}

/** The same for a payload that is in memory which the device has lent. */
export function finish(
  device: BlockDevice,
  request: RequestHeader,
  buffer: WriteBuffer,
): void | PromiseLike<void> {
  const options = { fua: isFua(request) };
  return settled(device, buffer.done(options), options);
}

function settled(
  device: BlockDevice,
  written: void | PromiseLike<void>,
  options: WriteOptions,
): void | PromiseLike<void> {
  if (!options.fua || device.fua === 'native') return written;
  return Promise.resolve(written).then(() => settle(device, options));
}
