import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { decodedDevice, decodedWhole } from '../../codecs/decoded.ts';
import { framesOf } from './frames.ts';
import { readSeekTable } from './seek-table.ts';

export interface ZstdOptions extends RequestOptions {
  /** Most frames that are kept in memory. */
  readonly depth: number;
  readonly debug?: ((message: string) => void) | undefined;
}

/**
 * What a Zstandard file holds, for reading. Files with a seek table, those of pzstd and others with
 * many small frames can be read anywhere; the rest is decompressed into a temporary file.
 * @param below is closed with it. @throws BlockError EIO it is no such file, or damaged.
 */
export async function openZstd(below: BlockDevice, options: ZstdOptions): Promise<BlockDevice> {
  const { depth, debug, signal } = options;
  const file = alignedDevice(below);
  const table = (await readSeekTable(file, options)) ?? (await framesOf(file, options));
  if (!table) return decodedWhole(below, { kind: 'zstd' }, { format: 'zstd', debug, signal });
  debug?.(`${table.count} frames, the largest of ${table.largest} bytes`);
  const encoded = ({ from, packed }: { readonly from: number; readonly packed: number }) => ({
    coding: { kind: 'zstd' as const },
    from,
    packed,
  });
  return decodedDevice(below, { table, depth, debug, encoded });
}
