import type { RequestOptions } from '../../../block/device.ts';
import type { Usage } from '../file-system.ts';
import { OBJECT, TYPE, type Volume } from './btrfs.ts';
import type { Chunks } from './chunks.ts';

const DATA = 1n;

/**
 * As the kernel counts for statvfs, but for what it keeps in reserve, which it works out anew at each
 * mount.
 */
export async function readUsage(
  volume: Volume,
  chunks: Chunks,
  options?: RequestOptions,
): Promise<Usage> {
  const { totalBytes, sectorSize } = volume.superblock;
  const groups =
    (await volume.findTree(OBJECT.blockGroupTree, options)) ??
    (await volume.tree(OBJECT.extentTree, options));
  let [used, allocated, freeData] = [0n, 0n, 0n];
  for (const { start, length, copies, type } of chunks.list()) {
    const key = { object: start, type: TYPE.blockGroup, offset: length };
    const item = await volume.trees.exact(groups, key, options);
    const taken = item && item.data.length >= 8 ? item.data.readBigUInt64LE(0) : 0n;
    used += taken * copies;
    allocated += length * copies;
    if (type & DATA) freeData += (length - taken) * copies;
  }
  const unit = BigInt(sectorSize);
  const room = totalBytes > allocated ? totalBytes - allocated : 0n;
  return {
    blockSize: sectorSize,
    blocks: totalBytes / unit,
    free: totalBytes > used ? (totalBytes - used) / unit : 0n,
    available: (freeData + room) / unit,
    files: 0n,
    filesFree: 0n,
  };
}
