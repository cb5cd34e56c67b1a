import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, ReadOptions } from '../../../block/device.ts';
import type { Replayed } from './journal.ts';

/**
 * A device with blocks of its journal in the place of its own.
 * @param blocks by their number on the device. @param journal the content of the journal.
 */
export function replayedDevice(
  device: BlockDevice,
  journal: BlockDevice,
  blocks: ReadonlyMap<number, Replayed>,
  blockSize: number,
): BlockDevice {
  const read = async (offset: bigint, length: number, options?: ReadOptions) => {
    const below = contiguous(await device.read(offset, length, options));
    const start = Number(offset);
    const first = Math.floor(start / blockSize);
    const last = Math.floor((start + length - 1) / blockSize);
    let bytes: Buffer | undefined;
    for (let block = first; block <= last; block++) {
      const replayed = blocks.get(block);
      if (!replayed) continue;
      bytes ??= Buffer.from(below);
      put(bytes, await contentOf(replayed), block * blockSize - start);
    }
    return bytes ?? below;
  };
  return { size: device.size, read };

  async function contentOf({ at, escaped }: Replayed): Promise<Buffer> {
    const place = BigInt(at) * BigInt(blockSize);
    const content = Buffer.from(contiguous(await journal.read(place, blockSize)));
    if (escaped) content.fill(0, 0, 4);
    return content;
  }
}

/** Copies what of a block lies in the bytes. @param at where it begins there; may be negative. */
function put(bytes: Buffer, block: Buffer, at: number): void {
  block.copy(bytes, Math.max(0, at), Math.max(0, -at));
}
