import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { BufferPool } from './buffer-pool.ts';
import { roomFor } from './grow.ts';
import { InTurn } from './in-turn.ts';
import type { Move } from './kernel.ts';
import { type CopyObserver, observing } from './observer.ts';
import { readChunk } from './reading.ts';
import { type Parallelism, type Requests, suitable } from './request-size.ts';
import { runSlots } from './slots.ts';
import { SparseWriter, type Zeroing } from './sparse-writer.ts';
import { WorkQueue } from './work-queue.ts';

/** A device, or several connections to one, which are used in turn. */
export type Connections = BlockDevice | readonly BlockDevice[];

/** What copies to a device have in common. */
export interface WriteSettings extends Parallelism {
  /** Ends the copy, which rejects with the signal's reason once nothing is under way any more. */
  readonly signal?: AbortSignal | undefined;
  /** Told of bytes as they are done. */
  readonly progress?: ((bytes: number) => void) | undefined;
  /**
   * Bytes of the blocks that are searched for zeroes, a power of two; 0: none. Unless said 4096, or
   * more where the destination prefers larger blocks, and 0 with `allocated`.
   */
  readonly sparse?: number | undefined;
  /** Zeroes take space at the destination. */
  readonly allocated?: boolean | undefined;
  /** The destination reads as zeroes: they need not be written. Known of one that is empty. */
  readonly destinationIsZero?: boolean | undefined;
  /** Everything is durable at the end. */
  readonly flush?: boolean | undefined;
  /** Is told of each chunk, and waited for. */
  readonly observer?: CopyObserver | undefined;
}

export interface CopyOptions extends WriteSettings {
  /** Ask the source where it reads as zeroes, and do not read that; true unless said. */
  readonly extents?: boolean | undefined;
  /** Moves data by other means than reading and writing it. */
  readonly move?: Move | undefined;
  /** Gives memory for bytes on their way, while it has some: such as the two ends share. */
  readonly memory?: ((length: number) => Buffer | undefined) | undefined;
  /** Writes begin in the order of the disk: a destination that gives out room does so in that order. */
  readonly inOrder?: boolean | undefined;
  /** Where to begin, a multiple of 64 KiB and of `granularity`: what is before is there already. */
  readonly start?: bigint | undefined;
}

const SMALLEST_SPARSE = 4096;
/** Zeroes that are made at once, in bytes, or a larger part of a vast disk: so many parts at most. */
const ZEROES = 128 << 20;
const MOST_ZEROES = 2048;
/** What is moved at once, in bytes; several at once would wait for each other. */
const LONGEST_MOVE = 64 << 20;

/**
 * Copies all of the source to the beginning of the destination, which is made longer where it is
 * too small and can be. Requests are whole blocks, as both ends want them; where the source ends
 * inside a block of the destination, the rest of that stays as it is.
 * @throws BlockError the first that failed, with its offset; ENOSPC when the destination is too
 * small, EPERM when it is read-only. RangeError for an option that is out of bounds.
 */
export async function copy(
  from: Connections,
  to: Connections,
  options: CopyOptions = {},
): Promise<void> {
  const sources = connectionsOf(from);
  const destinations = connectionsOf(to);
  const [source, destination] = [sources[0]!, destinations[0]!];
  const count = Math.max(sources.length, destinations.length);
  const requests = suitable(options, count, [source, destination]);
  const zeroing = zeroingOf(destination, options, requests);
  await roomFor(destination, source.size, options.signal);
  const queue = new WorkQueue(source, {
    extents: options.extents ?? true,
    granularity: requests.granularity,
    // Zeroes that must be written are work for all slots.
    longestZero: destination.zero ? longestZeroes(source.size) : requests.size,
    start: options.start,
  });
  if (options.move) await moveChunks(queue, destination, zeroing, options.move, options);
  const pool = new BufferPool(requests.size, options.memory);
  const turns = options.inOrder ? new InTurn() : undefined;
  await runSlots(requests.slots, options.signal, async (index, signal) => {
    const from = sources[index % sources.length]!;
    const writer = new SparseWriter(destinations[index % destinations.length]!, zeroing, signal);
    const { memory, done } = pool.loan();
    for (;;) {
      const chunk = await queue.next(requests.size, signal);
      if (!chunk || signal.aborted) return;
      const turn = turns?.next();
      let written: (() => Promise<void>) | undefined;
      try {
        const data = chunk.zero ? undefined : await readChunk(from, chunk, memory, signal);
        written = observing(options.observer, chunk, data);
        if (turn) await turn.come;
        if (signal.aborted) return;
        if (data) await writer.write(chunk.offset, data, turn?.begun);
        else await writer.zero(chunk.offset, chunk.length);
      } finally {
        turn?.begun();
      }
      done();
      if (written) await written();
      options.progress?.(chunk.length);
    }
  });
  if (options.flush) await flushAll(destinations, options.signal);
}

/** A power of two: a server that is slow at it has work for all slots, and the progress is seen. */
function longestZeroes(size: bigint): number {
  const share = Math.max(ZEROES, Number(size) / MOST_ZEROES);
  return 2 ** Math.ceil(Math.log2(share));
}

/** Until a chunk cannot be moved, which is then the next in the queue. */
async function moveChunks(
  queue: WorkQueue,
  destination: BlockDevice,
  zeroing: Zeroing,
  move: Move,
  { signal: given, progress, observer }: WriteSettings,
): Promise<void> {
  await runSlots(1, given, async (_, signal) => {
    const writer = new SparseWriter(destination, zeroing, signal);
    for (;;) {
      const chunk = await queue.next(LONGEST_MOVE, signal);
      if (!chunk || signal.aborted) return;
      if (chunk.zero) await writer.zero(chunk.offset, chunk.length);
      else if (!(await move(chunk))) return queue.putBack(chunk);
      await observer?.written?.(chunk);
      progress?.(chunk.length);
    }
  });
}

export function connectionsOf(end: Connections): readonly BlockDevice[] {
  return Array.isArray(end) ? end : [end as BlockDevice];
}

/** Each connection, as one need not know what was written by another. */
export async function flushAll(
  devices: readonly BlockDevice[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const each = [...new Set(devices)];
  await runSlots(each.length, signal, async (index, aborted) => {
    await each[index]!.flush?.({ signal: aborted });
  });
}

/** @throws BlockError EPERM where it cannot be written. */
export function zeroingOf(
  destination: BlockDevice,
  { allocated = false, destinationIsZero, sparse }: WriteSettings,
  { size }: Requests,
): Zeroing {
  if (!destination.write) throw new BlockError('EPERM', 'the destination is read-only');
  const preferred = Math.max(SMALLEST_SPARSE, destination.blockSize?.preferred ?? 0);
  return {
    allocated,
    isZero: destinationIsZero ?? destination.size === 0n,
    sparse: sparse ?? (allocated ? 0 : Math.min(preferred, size)),
  };
}
