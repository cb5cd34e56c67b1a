import { setImmediate as turn } from 'node:timers/promises';
import type { BlockDevice } from '../../src/block/device.ts';
import type { Random } from '../../src/testing/model.ts';

/** A disk that answers late and out of order, and what has reached it. */
export interface LateDisk {
  readonly device: BlockDevice;
  readonly bytes: Buffer;
  /** `write 4096+512` and the like, as they came. */
  readonly notes: string[];
  /** Most requests that were under way at once. */
  most: number;
}

/** Members to have instead, or not to have. */
export type Members = { readonly [M in keyof BlockDevice]?: BlockDevice[M] | undefined };

/** Every request takes up to three turns of the event loop; reads and writes act at their end. */
export function lateDisk(bytes: Buffer, random: Random, more: Members = {}): LateDisk {
  const notes: string[] = [];
  let underWay = 0;
  const late = async <T>(what: string, act: () => T, signal?: AbortSignal): Promise<T> => {
    notes.push(what);
    underWay += 1;
    disk.most = Math.max(disk.most, underWay);
    try {
      for (let turns = random.below(4); turns > 0; turns--) await turn();
      signal?.throwIfAborted();
      return act();
    } finally {
      underWay -= 1;
    }
  };
  const part = (offset: bigint, length: number) =>
    bytes.subarray(Number(offset), Number(offset) + length);
  const device = {
    size: BigInt(bytes.length),
    fua: 'native',
    read: (offset, length, options) => {
      const answer = () => {
        const memory = options?.memory?.(length) ?? Buffer.alloc(length);
        memory.set(part(offset, length));
        return memory;
      };
      return late(`read ${offset}+${length}`, answer, options?.signal);
    },
    write: (offset, data, options) =>
      late(
        `write ${offset}+${data.length}${options?.fua ? ' fua' : ''}`,
        () => part(offset, data.length).set(data),
        options?.signal,
      ),
    zero: (offset, length) =>
      late(`zero ${offset}+${length}`, () => {
        part(offset, length).fill(0);
      }),
    trim: (offset, length) =>
      late(`trim ${offset}+${length}`, () => {
        part(offset, length).fill(0);
      }),
    cache: (offset, length) => late(`cache ${offset}+${length}`, () => {}),
    extents: (offset, length) =>
      late(`extents ${offset}+${length}`, () => [{ length, hole: false, zero: false }]),
    flush: () => late('flush', () => {}),
    close: () => late('close', () => {}),
    ...more,
  } as BlockDevice;
  const disk: LateDisk = { device, bytes, notes, most: 0 };
  return disk;
}
