/** Shorter buffers are cheap to make, longer ones too large to keep. */
const SMALLEST = 1 << 14;
const LARGEST = 1 << 20;
/** Buffers of one size that are kept. */
const KEPT = 16;

const spare = new Map<number, Buffer[]>();

/** Memory for a payload, if possible used before: a fresh page costs a fault at its first touch. */
export function takePayload(length: number): Buffer {
  if (length < SMALLEST || length > LARGEST) return Buffer.allocUnsafeSlow(length);
  const capacity = 2 ** Math.ceil(Math.log2(length));
  const buffer = spare.get(capacity)?.pop() ?? Buffer.allocUnsafeSlow(capacity);
  return buffer.subarray(0, length);
}

/** Gives back what `takePayload` gave; nothing may use it any more. */
export function givePayload(payload: Buffer): void {
  const capacity = payload.buffer.byteLength;
  if (payload.length < SMALLEST || payload.length > LARGEST) return;
  const buffers = spare.get(capacity) ?? [];
  if (buffers.length < KEPT) buffers.push(Buffer.from(payload.buffer));
  spare.set(capacity, buffers);
}
