import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { ImageFile } from '../../images/image-file.ts';
import { writeCount } from './counts.ts';
import { type Header, l1EntriesFor, writeHeader } from './header.ts';
import { headerFor, type Options } from './options.ts';

/** The clusters of the tables of an image that holds nothing, one after the other. */
interface Layout {
  /** Of the reference count table, its blocks and the L1 table, in clusters. */
  readonly table: number;
  readonly blocks: number;
  readonly l1: number;
}

/**
 * Makes an empty image in a file. @param size of the disk, in bytes.
 * @throws UsageError options that do not go together; BlockError ENOSPC a disk that is too large.
 */
export async function createQcow2(
  below: BlockDevice,
  size: bigint,
  options: Options,
): Promise<Header> {
  const header = headerFor(size, options);
  const clusterSize = 2 ** header.clusterBits;
  header.l1Entries = l1EntriesFor(header, header.size);
  if (header.l1Entries * 8 > 32 << 20)
    throw new BlockError('ENOSPC', 'Image size too large for file format: use larger clusters');
  const layout = layoutFor(header);
  header.refcountOffset = clusterSize;
  header.refcountClusters = layout.table;
  header.l1Offset = (1 + layout.table + layout.blocks) * clusterSize;
  const end = 1 + layout.table + layout.blocks + layout.l1;
  const file = new ImageFile(below);
  file.end = 0;
  await file.grow(end * clusterSize);
  const blocksAt = (1 + layout.table) * clusterSize;
  await file.write(BigInt(blocksAt), blocksFor(header, end, layout.blocks));
  const table = Buffer.alloc(layout.table * clusterSize);
  for (let block = 0; block < layout.blocks; block++) {
    table.writeBigUInt64BE(BigInt(blocksAt + block * clusterSize), block * 8);
  }
  await file.write(BigInt(header.refcountOffset), table);
  await file.zero(header.l1Offset, layout.l1 * clusterSize);
  await file.write(0n, writeHeader(header));
  await file.trimEnd();
  await file.flush();
  return header;
}

function layoutFor(header: Header): Layout {
  const clusterSize = 2 ** header.clusterBits;
  const perBlock = (clusterSize * 8) / 2 ** header.refcountOrder;
  const l1 = Math.max(1, Math.ceil((header.l1Entries * 8) / clusterSize));
  let layout = { table: 1, blocks: 1, l1 };
  for (;;) {
    const all = 1 + layout.table + layout.blocks + l1;
    const blocks = Math.ceil(all / perBlock);
    const table = Math.ceil((blocks * 8) / clusterSize);
    if (blocks === layout.blocks && table === layout.table) return layout;
    layout = { table, blocks, l1 };
  }
}

/** Blocks of counters in which so many clusters, from the first on, are in use. */
function blocksFor(header: Header, clusters: number, blocks: number): Buffer {
  const bytes = Buffer.alloc(blocks * 2 ** header.clusterBits);
  for (let index = 0; index < clusters; index++) writeCount(bytes, index, header.refcountOrder, 1);
  return bytes;
}
