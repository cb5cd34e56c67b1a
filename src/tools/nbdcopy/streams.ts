/** Copies whose one or other end is a pipe: in order, and of a length that nobody knows before. */
import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import { viewsOf, zeroes } from '../../block/data.ts';
import type { BlockDevice, Data } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PipeClosed } from '../cli.ts';
import { type CopyOptions, located, readPiece, sinkOf } from './engine.ts';
import { putSparse } from './sparse.ts';
import type { Piece, Work } from './work.ts';

const readOnce = promisify(read);
const writeOnce = promisify(write);
/** Most zeroes that are made at once, in bytes. */
const ZERO_PIECE = 1 << 20;
const RETRY_MS = 5;

/**
 * Fills `bytes` from a pipe.
 * @returns how many came; fewer only at its end.
 */
async function fill(fd: number, bytes: Uint8Array): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const part = bytes.subarray(done);
    const { bytesRead } = await patiently(() => readOnce(fd, part, 0, part.length, null));
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const part = bytes.subarray(done);
    const { bytesWritten } = await patiently(() => writeOnce(fd, part, 0, part.length, null));
    done += bytesWritten;
  }
}

/** A pipe that someone else has made non-blocking says EAGAIN instead of waiting. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') throw new PipeClosed('the pipe was closed');
      if (code !== 'EAGAIN') throw error;
      await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    }
  }
}

/**
 * Copies a pipe to a device: one slot reads at a time, all of them write.
 * @param limit the destination's size; undefined: it grows.
 * @returns the number of bytes.
 */
export async function copyFromStream(
  fd: number,
  limit: bigint | undefined,
  options: Omit<CopyOptions, 'sources'>,
): Promise<bigint> {
  const { destinations, slots, requestSize, advance } = options;
  let offset = 0n;
  let ended = false;
  let turn = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  const takePart = async (buffer: Uint8Array): Promise<Piece | undefined> => {
    if (ended || failure) return undefined;
    const at = offset;
    const length = await fill(fd, buffer).catch(error => {
      throw located('read', at, error);
    });
    ended = length < buffer.length;
    offset += BigInt(length);
    if (limit !== undefined && offset > limit) throw tooSmall();
    return length === 0 ? undefined : { offset: at, length, zero: false };
  };
  const runSlot = async (index: number) => {
    const sink = sinkOf(destinations[index % destinations.length]!, options);
    const buffer = Buffer.allocUnsafeSlow(requestSize);
    for (;;) {
      const part = turn.then(() => takePart(buffer));
      turn = part.then(
        () => {},
        () => {},
      );
      const piece = await part;
      if (!piece) return;
      await putSparse(sink, piece.offset, buffer.subarray(0, piece.length), options.block);
      advance(piece.length);
    }
  };
  const guarded = (index: number) =>
    runSlot(index).catch(error => {
      failure ??= { error };
    });
  await Promise.all(Array.from({ length: slots }, (_, index) => guarded(index)));
  if (failure) throw (failure as { readonly error: unknown }).error;
  return offset;
}

/** The error of every copy whose destination has no room for the source. */
export function tooSmall(): BlockError {
  return new BlockError('ENOSPC', 'destination size is smaller than source size');
}

/** Copies a device to a pipe: reads ahead in all slots, writes in order. */
export async function copyToStream(
  work: Work,
  source: BlockDevice,
  fd: number,
  { slots, requestSize, advance }: Pick<CopyOptions, 'slots' | 'requestSize' | 'advance'>,
): Promise<void> {
  const buffers: Uint8Array[] = [];
  const queue: { piece: Piece; data: Promise<Data> | undefined; buffer: Uint8Array }[] = [];
  const readAhead = async () => {
    const piece = await work.next();
    if (!piece) return false;
    const buffer = piece.zero ? EMPTY : (buffers.pop() ?? Buffer.allocUnsafeSlow(requestSize));
    const data = piece.zero
      ? undefined
      : readPiece(source, piece, length => buffer.subarray(0, length));
    // It is awaited when its turn comes.
    data?.catch(() => {});
    queue.push({ piece, data, buffer });
    return true;
  };
  let more = true;
  for (;;) {
    while (more && queue.length < slots) more = await readAhead();
    const first = queue.shift();
    if (!first) return;
    const { piece, data, buffer } = first;
    try {
      if (data) await writeViews(fd, await data);
      else await writeZeroes(fd, piece.length);
    } catch (error) {
      await Promise.allSettled(queue.map(({ data: pending }) => pending));
      throw error instanceof BlockError ? error : located('write', piece.offset, error);
    }
    if (buffer !== EMPTY) buffers.push(buffer);
    advance(piece.length);
  }
}

const EMPTY = new Uint8Array(0);

async function writeViews(fd: number, data: Data): Promise<void> {
  for (const view of viewsOf(data)) await writeAll(fd, view);
}

async function writeZeroes(fd: number, length: number): Promise<void> {
  for (let left = length; left > 0; left -= ZERO_PIECE) {
    await writeAll(fd, zeroes(Math.min(left, ZERO_PIECE)) as Uint8Array);
  }
}

/** A pipe as a destination of writes in order. */
export function pipeDevice(fd: number): BlockDevice {
  const fail = () => {
    throw new BlockError('EIO', 'a pipe cannot be read here');
  };
  return { size: 0n, read: fail, write: (_offset, data) => writeAll(fd, data) };
}
