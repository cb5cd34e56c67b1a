import { BlockError } from '../block/errors.ts';

/** Shorter buffers are parts of Node's own pool, longer ones too large to keep. */
const SMALLEST = 1 << 12;
const LARGEST = 1 << 20;
/** Buffers of one size that are kept. */
const KEPT = 16;

const spare = new Map<number, Buffer[]>();

/**
 * Memory for `length` bytes, if possible used before: a fresh page costs a fault at its first touch.
 * @throws BlockError ENOMEM
 */
export function takeBuffer(length: number): Buffer {
  if (length < SMALLEST) return Buffer.allocUnsafe(length);
  if (length > LARGEST) return allocate(length);
  const capacity = 2 ** Math.ceil(Math.log2(length));
  const buffer = spare.get(capacity)?.pop() ?? allocate(capacity);
  return buffer.subarray(0, length);
}

/** Gives back what `takeBuffer` gave; nothing may use it any more. */
export function giveBuffer(buffer: Buffer): void {
  if (buffer.length < SMALLEST || buffer.length > LARGEST) return;
  const capacity = buffer.buffer.byteLength;
  const buffers = spare.get(capacity) ?? [];
  if (buffers.length === 0) spare.set(capacity, buffers);
  if (buffers.length >= KEPT) return;
  buffers.push(buffer.length === capacity ? buffer : Buffer.from(buffer.buffer));
}

function allocate(length: number): Buffer {
  try {
    return Buffer.allocUnsafeSlow(length);
  } catch (cause) {
    throw new BlockError('ENOMEM', `no memory for ${length} bytes`, { cause });
  }
}
