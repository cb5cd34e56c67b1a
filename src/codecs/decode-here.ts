import type { Coding } from './coding.ts';
import { decoderOf } from './decoders.ts';
import { MemorySink } from './sinks.ts';

/**
 * Decodes a block in this thread, for what takes less time than to wake another one.
 * @param bytes are filled. @throws BlockError EIO it is damaged, or of another length
 */
export async function decodeHere(
  coding: Coding,
  input: Uint8Array,
  bytes: Uint8Array,
): Promise<void> {
  const sink = new MemorySink(bytes, coding.crc, () => {});
  const decoder = decoderOf(coding);
  try {
    const decoded = decoder.decode(input, true, sink);
    if (decoded) await decoded;
    sink.finish();
  } finally {
    decoder.close();
  }
}
