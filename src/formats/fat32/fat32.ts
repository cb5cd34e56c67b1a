import { constantDevice, paddingDevice } from '../../block/constant.ts';
import type { BlockDevice } from '../../block/device.ts';
import { joinDevices } from '../../block/join.ts';
import { reservedBytes } from './boot.ts';
import { directoryBytes, type EntryOf, type Head } from './directory.ts';
import { clusterSizeFor, type Geometry, geometryFor, SECTOR } from './geometry.ts';
import { fatTable } from './table.ts';
import type { FatDirectory, FatFile } from './tree.ts';

export interface Fat32Options {
  /** Up to 11 characters. */
  readonly label: string;
  /** Sectors in front of it on the disk. */
  readonly hiddenSectors: number;
  /** Sectors of the file system; undefined: what the files need. */
  readonly sectors: number | undefined;
  readonly serial: number;
  /** Contents of a file, which may change neither in size nor otherwise. */
  open(file: FatFile): BlockDevice;
}

const FIRST_CLUSTER = 2;
/** Zeroes behind the end of a file, no hole, as the map would be full of them. */
const SLACK = Buffer.alloc(32768);

/** A directory with where it goes. */
interface PlacedDirectory {
  readonly directory: FatDirectory;
  readonly path: string;
  /** Index of the directory above; the root is its own. */
  readonly parent: number;
  readonly children: number[];
  cluster: number;
}

/**
 * A read-only FAT32 file system with a directory and all in it. First come the directories, then
 * the files, each in one piece. Only the directories are kept in memory.
 * @throws UsageError when the files do not fit or have names that FAT cannot hold.
 */
export function fat32Device(root: FatDirectory, options: Fat32Options): BlockDevice {
  const directories = listDirectories(root);
  const files = directories.flatMap(({ directory }) => directory.files);
  const content = files.reduce((sum, { size }) => sum + size, 0);
  const clusterSize = clusterSizeFor(options.sectors ? options.sectors * SECTOR : content);
  const clustersOf = (bytes: number) => Math.ceil(bytes / clusterSize);

  const lasts: number[] = [];
  let next = FIRST_CLUSTER;
  const allocate = (bytes: number): number => {
    const first = next;
    next += clustersOf(bytes);
    if (next > first) lasts.push(next - 1);
    return next > first ? first : 0;
  };
  const lengthOf = (index: number) => bytesOf(directories, index, () => 0, options).length;
  for (const [index, placed] of directories.entries()) {
    placed.cluster = allocate(Math.max(1, lengthOf(index)));
  }
  const clusterOf = new Map(files.map(file => [file, allocate(file.size)]));

  const geometry = geometryFor(next - FIRST_CLUSTER, clusterSize, options.sectors);
  const reserved = reservedBytes(geometry, { ...options, nextFree: next });
  const fat = fatTable(Uint32Array.from(lasts), geometry.fatSectors * SECTOR);
  const padded = (device: BlockDevice) => {
    const over = Number(device.size % BigInt(clusterSize));
    return over === 0 ? [device] : [device, constantDevice(SLACK.subarray(over, clusterSize))];
  };
  const placeOf = (file: FatFile) => clusterOf.get(file)!;
  return joinDevices([
    constantDevice(reserved),
    fat,
    fat,
    ...directories.flatMap((_, index) =>
      padded(constantDevice(bytesOf(directories, index, placeOf, options))),
    ),
    ...files.filter(({ size }) => size > 0).flatMap(file => padded(options.open(file))),
    paddingDevice(restOf(geometry, next)),
  ]);
}

/** Bytes behind the last file. */
function restOf({ sectors, ...geometry }: Geometry, next: number): bigint {
  const used = (next - FIRST_CLUSTER) * geometry.clusterSectors;
  return BigInt(sectors - geometry.reservedSectors - 2 * geometry.fatSectors - used) * 512n;
}

/** The root and all below, each before what is in it. */
function listDirectories(root: FatDirectory): PlacedDirectory[] {
  const list: PlacedDirectory[] = [
    { directory: root, path: root.name, parent: 0, children: [], cluster: 0 },
  ];
  for (const [index, { directory, path, children }] of list.entries()) {
    for (const child of directory.directories) {
      children.push(list.length);
      const below = { directory: child, path: `${path}/${child.name}`, parent: index };
      list.push({ ...below, children: [], cluster: 0 });
    }
  }
  return list;
}

function bytesOf(
  directories: readonly PlacedDirectory[],
  index: number,
  clusterOf: (file: FatFile) => number,
  { label }: Fat32Options,
): Buffer {
  const { directory, path, parent, children, cluster } = directories[index]!;
  const { times } = directory;
  // The root counts as cluster 0 when it is a parent.
  const above = parent === 0 ? 0 : directories[parent]!.cluster;
  const head: Head = index === 0 ? { label, times } : { own: cluster, parent: above, times };
  const entries: EntryOf[] = [
    ...children.map(child => {
      const { directory: below, cluster: at } = directories[child]!;
      return { name: below.name, times: below.times, cluster: at, size: undefined };
    }),
    ...directory.files.map(file => ({ ...file, cluster: clusterOf(file) })),
  ];
  return directoryBytes(path, head, entries);
}
