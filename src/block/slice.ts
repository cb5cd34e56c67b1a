import { type AlignOptions, alignedDevice } from './aligned.ts';
import { andThen } from './answer.ts';
import { type BlockDevice, type ExtentsOptions, UNTORN } from './device.ts';
import { cutRuns } from './extents.ts';
import { type Maker, recipeOver } from './recipe.ts';
import { wrapDevice } from './wrap.ts';

/**
 * The `size` bytes of a device from `start` on, as a device. Both in bytes; must lie inside. One that
 * does not begin and end where blocks do takes any offset and length.
 * @param options where blocks are shared with others who write: locks to share, too.
 */
export function sliceDevice(
  device: BlockDevice,
  start: bigint,
  size: bigint,
  options?: Pick<AlignOptions, 'locks'>,
): BlockDevice {
  const below = isAligned(device, start, size) ? device : alignedDevice(device, options);
  const clip = <R extends { readonly length: number }>(runs: readonly R[], offset: bigint) =>
    cutRuns(runs, 0, Number(size - offset));
  const { write, trim, zero, cache, extents } = below;
  // Elsewhere one that is abandoned would leave blocks of the slice torn.
  const writeBuffer = start % BigInt(UNTORN) === 0n && below.writeBuffer;
  const slice = wrapDevice(below, {
    size,
    opaque: below.opaque,
    contexts: below.contexts?.map(context => ({
      name: context.name,
      status: (offset, length, asked) =>
        andThen(context.status(start + offset, length, asked), runs => clip(runs, offset)),
    })),
    read: (offset, length, asked) => below.read(start + offset, length, asked),
    write: write && ((offset, data, asked) => below.write!(start + offset, data, asked)),
    writeBuffer: writeBuffer
      ? (offset, length) => below.writeBuffer!(start + offset, length)
      : undefined,
    trim: trim && ((offset, length, asked) => below.trim!(start + offset, length, asked)),
    zero: zero && ((offset, length, asked) => below.zero!(start + offset, length, asked)),
    cache: cache && ((offset, length, asked) => below.cache!(start + offset, length, asked)),
    extents:
      extents &&
      ((offset, length, asked?: ExtentsOptions) =>
        andThen(below.extents!(start + offset, length, asked), runs => clip(runs, offset))),
    resize: undefined,
  });
  const recipe = { get: () => recipeOver('slice', { start, size }, below), enumerable: true };
  return Object.defineProperty(slice, 'recipe', { ...recipe, configurable: true });
}

/** Makes a slice again. */
export const remakeSlice: Maker = (from: { start: bigint; size: bigint }, [below]) =>
  sliceDevice(below!, from.start, from.size);

/** Whether a part of a device has whole blocks only; the last one may be short. */
function isAligned({ blockSize, size: all }: BlockDevice, start: bigint, size: bigint): boolean {
  if (!blockSize || blockSize.advisory) return true;
  const block = BigInt(blockSize.minimum);
  return start % block === 0n && (size % block === 0n || start + size === all);
}
