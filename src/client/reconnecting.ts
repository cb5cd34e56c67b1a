import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { reopeningDevice } from '../block/reopening.ts';
import type { Patience } from '../block/retrying.ts';

/** How long to wait before the first new connection, in ms; twice as long before each next one. */
const DELAY = 500;

/** How often a lost connection is made again. */
export interface Reconnecting extends Pick<Patience, 'retries' | 'debug'> {
  /** ms before the first attempt; 500 unless said. */
  readonly delay?: number | undefined;
}

/**
 * A connection that is made again when it is lost, upon which the requests under way are sent again.
 * What the server refuses stays refused.
 * @param again connects in the place of the first.
 */
export function reconnectingDevice(
  first: BlockDevice,
  again: (options: RequestOptions) => BlockDevice | PromiseLike<BlockDevice>,
  { delay = DELAY, ...wishes }: Reconnecting,
): BlockDevice {
  const open = async (options: RequestOptions) => {
    try {
      return await again(options);
    } catch (error) {
      // A server that is not back yet may come.
      throw new BlockError('ECONNRESET', messageOf(error), { cause: error });
    }
  };
  return reopeningDevice(first, open, {
    patience: { ...wishes, delay, growth: 2 },
    isFinal: error => !isLost(error),
  });
}

function isLost(error: unknown): boolean {
  return errnoOf(error) === 'ECONNRESET' || errnoOf(error) === 'ESHUTDOWN';
}
