import { UsageError } from '../../block/errors.ts';
import { humanSize } from '../../block/size.ts';

export const SECTOR = 512;
/** With fewer clusters than this, programs take the file system for FAT16 or FAT12. */
const FEWEST_CLUSTERS = 65525;
/** A little more, as some programs count differently. */
const USUAL_FEWEST = FEWEST_CLUSTERS + 16;
const MOST_CLUSTERS = 0x0ffffff5;
const MOST_SECTORS = 0xffffffff;
const RESERVED = 32;
/** Up to so many GiB clusters of so many bytes, as Microsoft has it. */
const CLUSTER_SIZES: readonly (readonly [gibibytes: number, bytes: number])[] = [
  [0.25, 512],
  [8, 4096],
  [16, 8192],
  [32, 16384],
  [Number.POSITIVE_INFINITY, 32768],
];

/** How a FAT32 file system is laid out. */
export interface Geometry {
  readonly sectors: number;
  readonly clusterSectors: number;
  readonly reservedSectors: number;
  /** Of each of the two FATs. */
  readonly fatSectors: number;
  readonly clusters: number;
}

/**
 * The size of a cluster, in bytes, for that much content or, when it is given, that disk.
 * @param bytes of all files, or of the file system.
 */
export function clusterSizeFor(bytes: number): number {
  return CLUSTER_SIZES.find(([gibibytes]) => bytes <= gibibytes * 2 ** 30)![1];
}

/**
 * The smallest file system with `used` clusters, but no smaller than FAT32 ought to be; or one that
 * fills `sectors`.
 * @throws UsageError when it does not fit.
 */
export function geometryFor(used: number, clusterSize: number, sectors?: number): Geometry {
  const clusterSectors = clusterSize / SECTOR;
  const fits =
    sectors === undefined ? Math.max(used, USUAL_FEWEST) : clustersIn(sectors, clusterSectors);
  if (fits < used) {
    const needed = BigInt(withClusters(used, clusterSectors).sectors) * BigInt(SECTOR);
    throw new UsageError(`size: the files need ${humanSize(needed)} bytes at least`);
  }
  const geometry = withClusters(Math.min(fits, MOST_CLUSTERS), clusterSectors);
  if (used > MOST_CLUSTERS || geometry.sectors > MOST_SECTORS) {
    throw new UsageError('the files are too much for FAT32: it holds about 2 TB');
  }
  return { ...geometry, sectors: sectors ?? geometry.sectors };
}

function withClusters(clusters: number, clusterSectors: number): Geometry {
  const fatSectors = Math.ceil(((clusters + 2) * 4) / SECTOR);
  // Clusters lie at multiples of their size.
  const over = (RESERVED + 2 * fatSectors) % clusterSectors;
  const reservedSectors = RESERVED + (over === 0 ? 0 : clusterSectors - over);
  const sectors = reservedSectors + 2 * fatSectors + clusters * clusterSectors;
  return { sectors, clusterSectors, reservedSectors, fatSectors, clusters };
}

/** The most clusters that fit. */
function clustersIn(sectors: number, clusterSectors: number): number {
  let low = 0;
  let high = Math.min(MOST_CLUSTERS, Math.floor(sectors / clusterSectors)) + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (withClusters(middle, clusterSectors).sectors <= sectors) low = middle;
    else high = middle;
  }
  return low;
}
