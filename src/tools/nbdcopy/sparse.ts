import { isKnownZero, isZero, viewsOf } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';

/** What a destination is told: some bytes to write, or a number of zeroes. */
export interface Sink {
  write(offset: bigint, bytes: Uint8Array): void | Promise<void>;
  zero(offset: bigint, length: number): void | Promise<void>;
}

/**
 * Puts bytes to a sink: known zeroes as zeroes, and so blocks that hold nothing else.
 * @param block size in bytes of the blocks, which begin at multiples of it; 0: all is written.
 */
export async function putSparse(
  sink: Sink,
  offset: bigint,
  data: Data,
  block: number,
): Promise<void> {
  let at = offset;
  for (const view of viewsOf(data)) {
    if (block === 0) await sink.write(at, view);
    else if (isKnownZero(view)) await sink.zero(at, view.length);
    else await putView(sink, at, view, block);
    at += BigInt(view.length);
  }
}

async function putView(sink: Sink, offset: bigint, view: Uint8Array, block: number): Promise<void> {
  // The first block may have begun before.
  const first = block - Number(offset % BigInt(block));
  let start = 0;
  while (start < view.length) {
    const zero = blockIsZero(view, start, start === 0 ? first : start + block);
    let end = start;
    do end = end === 0 ? first : end + block;
    while (end < view.length && blockIsZero(view, end, end + block) === zero);
    end = Math.min(end, view.length);
    const at = offset + BigInt(start);
    if (zero) await sink.zero(at, end - start);
    else await sink.write(at, view.subarray(start, end));
    start = end;
  }
}

function blockIsZero(view: Uint8Array, start: number, end: number): boolean {
  return view[start] === 0 && isZero(view.subarray(start, end));
}
