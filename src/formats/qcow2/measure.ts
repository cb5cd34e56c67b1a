import { bytesFor } from '../../images/bitmap-bits.ts';
import type { BitmapFacts, Measured, MeasuredDisk } from '../../images/image.ts';
import { type Header, l1EntriesFor } from './header.ts';
import { headerFor, type Options } from './options.ts';

/** How large the file of an image becomes; see the contract. @throws UsageError the options */
export async function measureQcow2(
  { size, used, bitmaps }: MeasuredDisk,
  options: Options,
): Promise<Measured> {
  const header = headerFor(size, options);
  const cluster = 2n ** BigInt(header.clusterBits);
  const clusters = (header.size + cluster - 1n) / cluster;
  const metadata = BigInt(metadataClusters(header, clusters)) * cluster;
  const data = options.preallocation === 'off' ? await used(Number(cluster)) : clusters;
  const isInFile = options.data_file === undefined ? cluster : 0n;
  return {
    required: metadata + data * isInFile,
    full: metadata + clusters * isInFile,
    ...(bitmaps && header.version === 3 && { bitmaps: bitmapBytes(header, bitmaps) }),
  };
}

/** Bytes of all bitmaps, each of which has a table, and of their directory. */
function bitmapBytes({ size, clusterBits }: Header, bitmaps: readonly BitmapFacts[]): bigint {
  const cluster = 2 ** clusterBits;
  const roundUp = (bytes: number) => Math.ceil(bytes / cluster) * cluster;
  let directory = 0;
  let all = 0;
  for (const { name, granularity } of bitmaps) {
    const data = roundUp(bytesFor(size, granularity));
    all += data + roundUp((data / cluster) * 8);
    directory += Math.ceil((24 + Buffer.byteLength(name)) / 8) * 8;
  }
  return BigInt(all + roundUp(directory));
}

/** Of the header and all tables, if there were data everywhere. */
function metadataClusters(header: Header, clusters: bigint): number {
  const size = 2 ** header.clusterBits;
  const tables = l1EntriesFor(header, header.size);
  const l1 = Math.ceil((tables * 8) / size);
  const perBlock = (size * 8) / 2 ** header.refcountOrder;
  const others = 1 + l1 + tables + Number(clusters);
  let [blocks, table] = [0, 0];
  for (;;) {
    const needed = Math.ceil((others + blocks + table) / perBlock);
    const tableNeeded = Math.ceil((needed * 8) / size);
    if (needed === blocks && tableNeeded === table) break;
    [blocks, table] = [needed, tableNeeded];
  }
  return 1 + l1 + tables + blocks + table;
}
