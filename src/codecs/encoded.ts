import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { readInto } from '../block/read-into.ts';
import type { Coding } from './coding.ts';

/** Compressed bytes in a file, and what is put around them for the decoder. */
export interface Encoded {
  readonly coding: Coding;
  readonly before?: Uint8Array | undefined;
  readonly from: number;
  readonly packed: number;
  readonly after?: Uint8Array | undefined;
}

/**
 * All of what a decoder gets.
 * @param below takes any offset and length. @param memory for it. @throws BlockError
 */
export async function inputOf<B extends Uint8Array>(
  below: BlockDevice,
  { before, from, packed, after }: Encoded,
  memory: (length: number) => B,
  options?: RequestOptions,
): Promise<B> {
  const head = before?.length ?? 0;
  const input = memory(head + packed + (after?.length ?? 0));
  if (before) input.set(before);
  if (after) input.set(after, head + packed);
  if (packed > 0) await readInto(below, BigInt(from), input.subarray(head, head + packed), options);
  return input;
}

/** Bytes of a file. @param below takes any offset and length. @throws BlockError */
export async function bytesAt(
  below: BlockDevice,
  from: number,
  length: number,
  options?: RequestOptions,
): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  if (length > 0) await readInto(below, BigInt(from), bytes, options);
  return bytes;
}
