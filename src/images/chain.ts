import type { MetaContext } from '../block/device.ts';
import { allExtents } from '../block/emulate.ts';
import type { Image } from './image.ts';

/** Where a range of a disk comes from in a chain of images. */
export interface ChainRun {
  readonly length: number;
  /** How many images lie over the one that has it. */
  readonly depth: number;
  /** One of the images says something of it. */
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  /** Its data is compressed. */
  readonly packed: boolean;
  /** In the file of that image, in bytes. */
  readonly at?: number | undefined;
}

/** The first run of a range, as far as one image after the other tells. @param image the top one. */
export async function findInChain(image: Image, offset: bigint, length: number): Promise<ChainRun> {
  let left = length;
  let depth = 0;
  for (let layer: Image = image; ; depth++) {
    const run = await layerRun(layer, offset, left);
    left = run.length;
    const { backing } = layer;
    if (run.kind !== 'absent') {
      const [zero, data] = [run.kind === 'zero', run.kind !== 'zero'];
      return {
        length: left,
        depth,
        present: true,
        zero,
        data,
        packed: run.kind === 'packed',
        at: run.at,
      };
    }
    const behind = (backing?.device.size ?? 0n) - offset;
    if (!backing || behind <= 0n) {
      const [present, zero, data, packed] = [false, true, false, false];
      return { length: left, depth, present, zero, data, packed, at: run.at };
    }
    if (behind < BigInt(left)) left = Number(behind);
    layer = backing;
  }
}

/** Of an image alone; one without a mapping of its own is there as a whole. */
async function layerRun({ find, device }: Image, offset: bigint, length: number) {
  if (find) return find(offset, length);
  const [first] = await allExtents(device, offset, length);
  const kind = first!.zero ? ('zero' as const) : ('data' as const);
  return { kind, length: Math.min(first!.length, length), at: Number(offset) };
}

/** Most runs that one answer has. */
const MOST_RUNS = 256;

/** How deep in a chain each part of a disk is: 1 in the image itself, 0 nowhere. */
export function depthContext(image: () => Image): MetaContext {
  return {
    name: 'qemu:allocation-depth',
    status: async (offset, length) => {
      const runs: { length: number; flags: number }[] = [];
      for (let done = 0; done < length && runs.length < MOST_RUNS; ) {
        const run = await findInChain(image(), offset + BigInt(done), length - done);
        const flags = run.present ? run.depth + 1 : 0;
        const last = runs.at(-1);
        if (last?.flags === flags) last.length += run.length;
        else runs.push({ length: run.length, flags });
        done += run.length;
      }
      return runs;
    },
  };
}
