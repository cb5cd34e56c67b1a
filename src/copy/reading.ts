import { byteLength, viewsOf } from '../block/data.ts';
import type { BlockDevice, Data, Memory } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { located } from './errors.ts';
import { longestRequest } from './request-size.ts';
import type { Chunk } from './work-queue.ts';

/**
 * Reads a chunk in requests that the source takes.
 * @throws BlockError that says where.
 */
export async function readChunk(
  source: BlockDevice,
  { offset, length }: Chunk,
  memory: Memory,
  signal: AbortSignal,
): Promise<Data> {
  const longest = longestRequest(source);
  if (length <= longest) return readOnce(source, offset, length, memory, signal);
  const views: Uint8Array[] = [];
  for (let done = 0; done < length; done += longest) {
    const count = Math.min(longest, length - done);
    const data = await readOnce(source, offset + BigInt(done), count, memory, signal);
    views.push(...viewsOf(data));
  }
  return views;
}

async function readOnce(
  source: BlockDevice,
  offset: bigint,
  length: number,
  memory: Memory,
  signal: AbortSignal,
): Promise<Data> {
  try {
    const data = await source.read(offset, length, { memory, signal });
    const count = byteLength(data);
    if (count === length) return data;
    throw new BlockError('EIO', `the source gave ${count} bytes in place of ${length}`);
  } catch (error) {
    throw located('read', offset, error);
  }
}
