import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { isPromise } from './answer.ts';
import type { RequestOptions } from './device.ts';

export interface PieceOptions extends RequestOptions {
  /** Bytes of the first piece; 1 GiB unless told, or `most` if that is less. */
  readonly first?: number | undefined;
  /** Most bytes of a piece. */
  readonly most?: number | undefined;
}

const FIRST = 2 ** 30;
/** No piece becomes smaller: it is a whole number of any device's blocks. */
const LEAST = 65536;
/** Nor is one that was only started when it blocked: starting takes its time, however short it is. */
const STARTED = 1 << 20;
/** For so long others wait for the event loop, in ms. */
const PATIENCE = 5;
/** A piece that keeps the event loop for longer is too long, in ms; half of it may do. */
const BLOCKS = 10;
/** So is one that is answered so late, in ms, as it is not stopped half way. */
const LATE = 1000;

/**
 * Acts on a range in pieces, so that others have their turn and that the signal is heeded, however
 * long it is: the pieces become longer while they take no time and shorter when they take much. All
 * but the last are multiples of 64 KiB if `first` and `most` are; a range of `first` is one piece.
 */
export function inPieces(
  offset: bigint,
  length: number,
  act: (offset: bigint, length: number) => void | PromiseLike<void>,
  { signal, most = Number.MAX_SAFE_INTEGER, first = Math.min(FIRST, most) }: PieceOptions = {},
): void | PromiseLike<void> {
  if (length <= first) return act(offset, length);
  return actInPieces(offset, length, act, { signal, first, most });
}

async function actInPieces(
  offset: bigint,
  length: number,
  act: (offset: bigint, length: number) => void | PromiseLike<void>,
  { signal, first, most }: { signal: AbortSignal | undefined; first: number; most: number },
): Promise<void> {
  let piece = first;
  let lastTurn = performance.now();
  for (let done = 0; done < length; ) {
    signal?.throwIfAborted();
    const part = Math.min(piece, length - done);
    const began = performance.now();
    const answer = act(offset + BigInt(done), part);
    const blocked = performance.now() - began;
    if (isPromise(answer)) await answer;
    done += part;
    const now = performance.now();
    if (now - began > LATE) piece = shorter(piece, LEAST);
    else if (blocked > BLOCKS) piece = shorter(piece, isPromise(answer) ? STARTED : LEAST);
    else if (blocked < 1 && now - began < LATE / 10) piece = Math.min(piece * 2, most);
    if (now - lastTurn > PATIENCE) {
      await eventLoopTurn();
      lastTurn = performance.now();
    }
  }
}

function shorter(piece: number, least: number): number {
  if (piece <= least) return piece;
  const half = piece / 2;
  return Math.max(least, half - (half % LEAST));
}
