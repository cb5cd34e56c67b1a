import type { BlockDevice } from '../block/device.ts';

/** How much is asked for at once, in bytes but for `requests`. */
export interface Parallelism {
  /** Most requests under way on one connection; 64 unless said. */
  readonly requests?: number | undefined;
  /** Most bytes of one request, at least 512, at most 32 MiB; 1 MiB unless said. */
  readonly requestSize?: number | undefined;
  /** Most bytes under way in all; 16 MiB unless said. One request is always under way. */
  readonly queueSize?: number | undefined;
  /** Requests begin at multiples of this as well, a power of two. */
  readonly granularity?: number | undefined;
}

const REQUESTS = 64;
const REQUEST_SIZE = 1 << 20;
const SMALLEST_REQUEST = 512;
const LARGEST_REQUEST = 32 << 20;
const QUEUE_SIZE = 16 << 20;
/** More is no quicker, and every one has its memory. */
const MOST_SLOTS = 4096;

/** Offsets and lengths of requests to this device are multiples of so many bytes. */
export function minimumBlock({ blockSize }: BlockDevice): number {
  return blockSize?.minimum ?? 1;
}

/** The largest multiple of a device's minimum block that it takes in one request, in bytes. */
export function longestRequest({ blockSize }: BlockDevice): number {
  if (!blockSize) return Number.POSITIVE_INFINITY;
  const { minimum, maximum } = blockSize;
  return Math.max(minimum, maximum - (maximum % minimum));
}

/** What suits all the devices of a copy. */
export interface Requests {
  /** Every request begins at a multiple of so many bytes. */
  readonly granularity: number;
  /** Most bytes of one, a multiple of `granularity`. */
  readonly size: number;
  /** How many are under way at once. */
  readonly slots: number;
}

/**
 * Requests that all these devices take.
 * @param connections how many connections there are to the end that has most.
 * @throws RangeError for a number that is out of bounds.
 */
export function suitable(
  options: Parallelism,
  connections: number,
  devices: readonly BlockDevice[],
): Requests {
  const { requests = REQUESTS, requestSize = REQUEST_SIZE, queueSize = QUEUE_SIZE } = options;
  check('requests', requests, 1, Number.MAX_SAFE_INTEGER);
  check('requestSize', requestSize, SMALLEST_REQUEST, LARGEST_REQUEST);
  check('queueSize', queueSize, 0, Number.MAX_SAFE_INTEGER);
  const granularity = Math.max(options.granularity ?? 1, ...devices.map(minimumBlock));
  const longest = Math.min(requestSize, ...devices.map(longestRequest));
  const size = Math.max(granularity, longest - (longest % granularity));
  const queued = Math.max(1, Math.floor(queueSize / size));
  return { granularity, size, slots: Math.min(requests * connections, queued, MOST_SLOTS) };
}

function check(name: string, value: number, smallest: number, largest: number): void {
  if (Number.isInteger(value) && value >= smallest && value <= largest) return;
  throw new RangeError(`${name}: ${value}: expected a whole number from ${smallest} to ${largest}`);
}
