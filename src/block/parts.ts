import { viewsOf } from './data.ts';
import type { BlockDevice, Data, ReadOptions } from './device.ts';

/** A part of a request: the device it goes to, where in that device, and how many bytes. */
export interface Part {
  readonly device: BlockDevice;
  readonly offset: bigint;
  readonly length: number;
}

/** Acts on one thing after the other; at once where there is one only. */
export function inTurn<T>(
  things: readonly T[],
  act: (thing: T) => void | PromiseLike<void>,
): void | PromiseLike<void> {
  if (things.length === 1) return act(things[0]!);
  return (async () => {
    for (const thing of things) await act(thing);
  })();
}

/** Acts on one part after the other; `at` is where in the request it begins. */
export function eachPart(
  parts: readonly Part[],
  act: (part: Part, at: number) => void | PromiseLike<void>,
  signal?: AbortSignal,
): void | PromiseLike<void> {
  return parts.length === 1 ? act(parts[0]!, 0) : actInTurn(parts, act, signal);
}

async function actInTurn(
  parts: readonly Part[],
  act: (part: Part, at: number) => void | PromiseLike<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let at = 0;
  for (const part of parts) {
    signal?.throwIfAborted();
    await act(part, at);
    at += part.length;
  }
}

/** The bytes of all parts, without a copy. */
export function readParts(
  parts: readonly Part[],
  options: ReadOptions = {},
): Data | PromiseLike<Data> {
  const [first, ...others] = parts;
  if (others.length === 0) return first!.device.read(first!.offset, first!.length, options);
  return gatherParts(parts, options);
}

async function gatherParts(
  parts: readonly Part[],
  { memory, signal }: ReadOptions,
): Promise<Uint8Array[]> {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  let lent: Uint8Array | undefined;
  const lend =
    memory &&
    ((from: number, length: number) => {
      lent ??= memory(total);
      return lent.subarray(from, from + length);
    });
  const views: Uint8Array[] = [];
  await actInTurn(
    parts,
    async ({ device, offset, length }, at) => {
      const own = lend && ((wanted: number) => lend(at, wanted));
      for (const view of viewsOf(await device.read(offset, length, { memory: own, signal }))) {
        views.push(view);
      }
    },
    signal,
  );
  return views;
}
