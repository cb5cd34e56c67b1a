import { ReadableStream, WritableStream } from 'node:stream/web';
import { isUint8Array } from 'node:util/types';
import { BlockError } from '../block/errors.ts';
import type { Disk } from './disk.ts';
import { CallError } from './errors.ts';
import type { RangeOptions } from './types.ts';

export interface StreamOptions extends RangeOptions {
  /** Bytes of one request; 256 KiB unless said. */
  readonly chunkSize?: number | undefined;
}

const CHUNK = 256 << 10;
/** Requests under way. */
const AHEAD = 4;

interface Part {
  readonly from: bigint;
  readonly to: bigint;
}

export function readableOf(disk: Disk, part: Part, options: StreamOptions): ReadableStream<Buffer> {
  return ReadableStream.from(chunksOf(disk, part, options));
}

async function* chunksOf(disk: Disk, { from, to }: Part, options: StreamOptions) {
  const { chunkSize = CHUNK, signal, timeout } = options;
  const coming: Promise<Buffer>[] = [];
  for (let at = from; at < to || coming.length > 0; ) {
    while (at < to && coming.length < AHEAD) {
      const length = to - at < chunkSize ? Number(to - at) : chunkSize;
      const read = disk.read(at, length, { signal, timeout });
      // It is waited for when it is its turn, if at all.
      read.catch(() => {});
      coming.push(read);
      at += BigInt(length);
    }
    yield await coming.shift()!;
  }
}

export function writableOf(
  disk: Disk,
  { from, to }: Part,
  { chunkSize = CHUNK, signal, timeout }: StreamOptions,
): WritableStream<Uint8Array> {
  let at = from;
  const underWay = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const begin = (bytes: Uint8Array) => {
    const write = disk
      .write(at, bytes, { signal, timeout })
      .catch(error => {
        failure ??= { error };
      })
      .finally(() => underWay.delete(write));
    underWay.add(write);
    at += BigInt(bytes.length);
  };
  const room = async (most: number) => {
    while (underWay.size > most) await Promise.race(underWay);
    if (failure) throw failure.error;
  };
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      if (!isUint8Array(chunk)) throw new CallError('writable: expected a Uint8Array');
      if (at + BigInt(chunk.length) > to) {
        throw new BlockError('ENOSPC', `there is no room past ${to}`, { offset: at });
      }
      // Whoever gave it may use it again once it is taken.
      const own = Buffer.from(chunk);
      for (let start = 0; start < own.length; start += chunkSize) {
        await room(AHEAD - 1);
        begin(own.subarray(start, start + chunkSize));
      }
    },
    async close() {
      await room(0);
      if (disk.can.flush) await disk.flush({ signal, timeout });
    },
    abort: () => room(0),
  });
}
