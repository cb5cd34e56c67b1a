import type { BlockDevice, Data, Memory } from '../../block/device.ts';
import { zeroRange } from '../../block/emulate.ts';
import { BlockError, errnoOf, messageOf } from '../../block/errors.ts';
import { Arena } from '../../stores/arena.ts';
import { PipeClosed } from '../cli.ts';
import { putSparse, type Sink } from './sparse.ts';
import type { Piece, Work } from './work.ts';

/** Buffers of a short copy, which is not worth the time to load what asks for large pages. */
const SHORT = 1 << 20;

/** How a destination wants its zeroes. */
export interface Zeroes {
  /** They take space. */
  readonly allocated: boolean;
  /** What is not written reads as zeroes. */
  readonly isZero: boolean;
  /** Size of the blocks of data that are searched for them; 0: none. */
  readonly block: number;
}

export interface CopyOptions extends Zeroes {
  /** Connections to the source and to the destination, used in turn. */
  readonly sources: readonly BlockDevice[];
  readonly destinations: readonly BlockDevice[];
  /** Most requests under way in all. */
  readonly slots: number;
  readonly requestSize: number;
  /** Moves a piece of data by other means than reading and writing it; false where it cannot. */
  readonly move?: ((piece: Piece) => Promise<boolean>) | undefined;
  /** Told of bytes as they are done. */
  readonly advance: (bytes: number) => void;
}

/**
 * Copies all of the work, by a fixed number of slots that each have one request under way.
 * @throws BlockError the first that failed, with its offset, when nothing is under way any more.
 */
export async function copyDevices(work: Work, options: CopyOptions): Promise<void> {
  const { sources, destinations, slots, requestSize, advance } = options;
  let failure: { readonly error: unknown } | undefined;
  let { move } = options;
  /** Memory is taken when an answer comes, so that few pieces of it serve many requests. */
  const spare: Buffer[] = [];
  const arena = new Arena(SHORT);
  const runSlot = async (index: number) => {
    const source = sources[index % sources.length]!;
    const sink = sinkOf(destinations[index % destinations.length]!, options);
    let lent: Buffer | undefined;
    const memory = (length: number) => {
      lent = spare.pop() ?? arena.allocate(requestSize);
      return lent.subarray(0, length);
    };
    for (;;) {
      const piece = await work.next();
      if (!piece || failure) return;
      if (piece.zero) {
        await sink.zero(piece.offset, piece.length);
      } else if (!(await move?.(piece))) {
        move = undefined;
        const data = await readPiece(source, piece, memory);
        await putSparse(sink, piece.offset, data, options.block);
        if (lent) spare.push(lent);
        lent = undefined;
      }
      advance(piece.length);
    }
  };
  const guarded = (index: number) =>
    runSlot(index).catch(error => {
      failure ??= { error };
    });
  await Promise.all(Array.from({ length: slots }, (_, index) => guarded(index)));
  if (failure) throw (failure as { readonly error: unknown }).error;
}

/** @throws BlockError that says where. */
export async function readPiece(
  source: BlockDevice,
  { offset, length }: Piece,
  memory?: Memory,
): Promise<Data> {
  try {
    return await source.read(offset, length, { memory });
  } catch (error) {
    throw located('read', offset, error);
  }
}

/** A destination that says where it failed. */
export function sinkOf(device: BlockDevice, { allocated, isZero }: Zeroes): Sink {
  return {
    async write(offset, bytes) {
      try {
        await device.write!(offset, bytes);
      } catch (error) {
        throw located('write', offset, error);
      }
    },
    async zero(offset, length) {
      if (isZero && !allocated) return;
      try {
        await zeroRange(device, offset, length, { mayTrim: !allocated });
      } catch (error) {
        throw located('write zeroes', offset, error);
      }
    },
  };
}

/** The error with what failed and where; a reader who has left the pipe is none to tell. */
export function located(what: string, offset: bigint, error: unknown): Error {
  if (error instanceof PipeClosed) return error;
  const words = `${what} at offset ${offset} failed: ${messageOf(error)}`;
  return new BlockError(errnoOf(error), words, { offset, cause: error });
}
