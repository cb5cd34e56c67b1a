import { discard } from './close-all.ts';
import type { BlockDevice, BlockSize, RequestOptions } from './device.ts';
import { BlockError } from './errors.ts';
import { Flight } from './flight.ts';
import { serialiseDevice } from './serialise.ts';
import { type Supports, supportOf } from './support.ts';
import { Turns } from './turns.ts';
import { PASS, wrapDevice } from './wrap.ts';

type Open = (options: RequestOptions) => BlockDevice | PromiseLike<BlockDevice>;

/** A device in whose place another one can come while it is used. */
export class Reopenable {
  /** For the user: it stays the same, and so does what it can do. */
  readonly device: BlockDevice;
  readonly #first: BlockDevice;
  readonly #open: Open;
  readonly #turns = new Turns();
  /** The last one that there was. */
  #below: BlockDevice;
  /** The same, or what fails in its place. */
  #current: BlockDevice;
  #flight: Flight<void> | undefined;
  #closed = false;

  /** @param first the device to begin with. @param open opens another one in its place. */
  constructor(first: BlockDevice, open: Open) {
    this.#first = first;
    this.#below = first;
    this.#current = first;
    this.#open = open;
    const device = serialiseDevice(first, this.#turns, () => this.#current);
    const close = () => {
      this.#closed = true;
      return device.close!();
    };
    this.device = wrapDevice(device, { ...PASS, close });
  }

  /**
   * Closes the device below when the requests under way have settled, and opens another; new requests
   * wait for that. Who calls meanwhile waits for the same. When it fails so do all requests, until it
   * is called again.
   * @throws BlockError what opening failed with; EIO when the new device cannot take the place of the
   * first one; ESHUTDOWN after `close`.
   */
  reopen({ signal }: RequestOptions = {}): Promise<void> {
    this.#flight ??= this.#begin();
    return this.#flight.join(signal);
  }

  #begin(): Flight<void> {
    const landed = () => {
      if (this.#flight === flight) this.#flight = undefined;
    };
    const flight = new Flight<void>(landed);
    const replaced = this.#turns.alone(async () => await this.#replace(flight), flight.signal);
    flight.fly(Promise.resolve(replaced).finally(landed));
    return flight;
  }

  async #replace(options: RequestOptions): Promise<void> {
    if (this.#closed) throw new BlockError('ESHUTDOWN', 'the disk has been closed');
    if (this.#current === this.#below) await discard(this.#below);
    try {
      const next = await this.#open(options);
      const why = unfit(next, this.#first, this.#below.size);
      if (why) {
        await discard(next);
        throw new BlockError('EIO', `the disk was opened again, and ${why}`);
      }
      this.#below = next;
      this.#current = next;
    } catch (error) {
      this.#current = failing(this.#below, error);
      throw error;
    }
  }
}

const METHODS = ['write', 'flush', 'trim', 'zero', 'cache', 'extents', 'resize'] as const;
const SUPPORTS = ['fua', 'zero', 'fastZero', 'cache'] satisfies (keyof Supports)[];

/** What a device lacks to take the place of the first one, in words. */
function unfit(next: BlockDevice, first: BlockDevice, size: bigint): string | undefined {
  if (next.size !== size) return `has ${next.size} bytes now instead of ${size}`;
  for (const method of METHODS) {
    if (first[method] && !next[method]) return `has no ${method} any more`;
  }
  const had = supportOf(first);
  const has = supportOf(next);
  for (const which of SUPPORTS) {
    if (had[which] === 'native' && has[which] !== 'native') return `has no ${which} any more`;
  }
  if (first.multiConn && !next.multiConn) return 'cannot be shared by connections any more';
  for (const [index, { name }] of (first.contexts ?? []).entries()) {
    if (next.contexts?.[index]?.name !== name) return `has no context ${name} any more`;
  }
  const before = limitsOf(first);
  const { minimum, maximum } = limitsOf(next);
  if (before.minimum % minimum !== 0) return `wants blocks of ${minimum} bytes now`;
  if (before.maximum > maximum) return `takes ${maximum} bytes at once now`;
  return undefined;
}

function limitsOf({ blockSize }: BlockDevice): Pick<BlockSize, 'minimum' | 'maximum'> {
  const free = !blockSize || blockSize.advisory;
  return free ? { minimum: 1, maximum: Number.POSITIVE_INFINITY } : blockSize;
}

/** What has the form of a device and fails each request with the same error. */
function failing(like: BlockDevice, error: unknown): BlockDevice {
  const fail = (): never => {
    throw error;
  };
  return wrapDevice(like, {
    contexts: like.contexts?.map(({ name }) => ({ name, status: fail })),
    read: fail,
    write: fail,
    writeBuffer: undefined,
    flush: fail,
    trim: fail,
    zero: fail,
    cache: fail,
    extents: fail,
    resize: fail,
    close: () => {},
  });
}
