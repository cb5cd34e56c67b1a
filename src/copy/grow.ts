import type { BlockDevice } from '../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { tooSmall } from './errors.ts';
import { minimumBlock } from './request-size.ts';
import { runSlots } from './slots.ts';

/** A destination that grows does so by so many bytes at least, and by an eighth of its size. */
const STEP = 64n << 20n;

/** Makes a destination at least `size` bytes long. @throws BlockError ENOSPC where it cannot be. */
export async function roomFor(
  destination: BlockDevice,
  size: bigint,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (destination.size >= size) return signal?.throwIfAborted();
  if (!destination.resize) throw tooSmall();
  await runSlots(1, signal, (_, aborted) => resize(destination, size, aborted));
}

/** A destination for bytes of which nobody knows before how many come. */
export class Growing {
  readonly #device: BlockDevice;
  readonly #before: bigint;

  constructor(device: BlockDevice) {
    this.#device = device;
    this.#before = device.size;
  }

  /** Makes room for `size` bytes, and in steps for some more. @throws BlockError as `roomFor`. */
  async reach(size: bigint, signal: AbortSignal): Promise<void> {
    const device = this.#device;
    if (device.size >= size) return;
    if (!device.resize) throw tooSmall();
    const step = device.size / 8n > STEP ? device.size / 8n : STEP;
    await resize(device, size + step, signal);
  }

  /** Takes back what was too much for `size` bytes. */
  async settle(size: bigint, signal: AbortSignal): Promise<void> {
    if (this.#device.size === this.#before) return;
    await resize(this.#device, size > this.#before ? size : this.#before, signal);
  }
}

/** @param size in bytes; up to the next whole block is as good. */
async function resize(device: BlockDevice, size: bigint, signal: AbortSignal): Promise<void> {
  const block = BigInt(minimumBlock(device));
  const whole = ((size + block - 1n) / block) * block;
  try {
    await device.resize!(whole, { signal });
  } catch (error) {
    const words = `the destination cannot hold ${size} bytes: ${messageOf(error)}`;
    throw new BlockError(errnoOf(error), words, { cause: error });
  }
}
