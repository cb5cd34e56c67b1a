import type { BlockDevice, WriteOptions } from '../block/device.ts';
import { cacheRange, settle, trimRange, zeroRange } from '../block/emulate.ts';
import { Command, CommandFlag } from '../protocol/constants.ts';
import type { RequestHeader } from '../protocol/request.ts';
import type { Piece } from './incoming-write.ts';

/** Whether what a request does must be durable when it is answered. */
const isFua = ({ flags }: RequestHeader) => (flags & CommandFlag.fua) !== 0;

/** Does a flush, trim, cache or write zeroes: what has no data in the request nor in the answer. */
export function perform(
  device: BlockDevice,
  request: RequestHeader,
  signal: AbortSignal,
): void | PromiseLike<void> {
  const { type, flags, offset, length } = request;
  const fua = isFua(request);
  switch (type) {
    case Command.flush:
      return device.flush!({ signal });
    case Command.cache:
      return cacheRange(device, offset, length, { signal });
    case Command.trim:
      return trimRange(device, offset, length, { fua, signal });
    case Command.writeZeroes: {
      const mayTrim = (flags & CommandFlag.noHole) === 0;
      const fastZero = (flags & CommandFlag.fastZero) !== 0;
      return zeroRange(device, offset, length, { fua, mayTrim, fastZero, signal });
    }
  }
}

/**
 * Writes a piece of a request's payload, at once where the device can.
 * @param last what FUA asks for is done after it.
 */
export function write(
  device: BlockDevice,
  { request, offset, data, buffer }: Piece,
  last: boolean,
  signal: AbortSignal,
): void | PromiseLike<void> {
  const native = device.fua === 'native';
  const options: WriteOptions = { fua: native && isFua(request), signal };
  const written = buffer ? buffer.done(options) : device.write!(offset, data!, options);
  if (native || !last || !isFua(request)) return written;
  return Promise.resolve(written).then(() => settle(device, { fua: true, signal }));
}
