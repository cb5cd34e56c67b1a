import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BlockTable } from '../../codecs/block-table.ts';
import { decodedDevice } from '../../codecs/decoded.ts';
import { readStreams } from './streams.ts';
import { wrapBlock } from './wrap-block.ts';

export interface XzOptions extends RequestOptions {
  /** Bytes of the largest block that is decoded, and of the largest dictionary. */
  readonly maxBlock: number;
  /** Most blocks that are kept in memory. */
  readonly depth: number;
  readonly debug?: ((message: string) => void) | undefined;
}

/** What a decoder takes beside the dictionary. */
const OVERHEAD = 8 << 20;

/**
 * What an xz file holds, for reading. Any number of streams and blocks; the fewer bytes a block
 * has, the quicker is one that is read at random.
 * @param below is closed with it.
 * @throws BlockError EIO it is no xz file, is damaged, or has a block larger than `maxBlock`.
 */
export async function openXz(below: BlockDevice, options: XzOptions): Promise<BlockDevice> {
  const { maxBlock, depth, debug } = options;
  const table = new BlockTable('xz');
  const streams = await readStreams(alignedDevice(below), options);
  for (const { start, check, records } of streams) {
    let from = start;
    for (const [unpadded, length] of records) {
      const packed = padded(unpadded);
      table.add({ from, packed, length, tag: 4 * check + (packed - unpadded) });
      from += packed;
    }
  }
  debug?.(
    `${streams.length} streams, ${table.count} blocks, the largest of ${table.largest} bytes`,
  );
  if (table.largest > maxBlock) {
    const words = `its largest block has ${table.largest} bytes, and xz-max-block is ${maxBlock}`;
    throw new BlockError('EIO', `xz: ${words}: expected smaller blocks, or a larger xz-max-block`);
  }
  return decodedDevice(below, {
    table,
    depth,
    debug,
    tooLarge: `xz-max-block is ${maxBlock}`,
    encoded: ({ from, packed, length, tag }) => ({
      coding: { kind: 'xz', memory: maxBlock + OVERHEAD },
      from,
      packed,
      ...wrapBlock({ check: tag >> 2, unpadded: packed - (tag & 3), length }),
    }),
  });
}

/** Blocks begin at multiples of 4 bytes. */
function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
