import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { messageOf } from '../block/errors.ts';
import { sliceDevice } from '../block/slice.ts';
import type { FileSystem } from '../formats/fs/file-system.ts';
import { listPartitions, type Partition } from '../formats/partition-table/list.ts';
import { type Content, probe } from './probe.ts';

/** A device that may hold a file system, under the name that Linux would give it. */
export interface Volume {
  /** /dev/sda, /dev/sda1, /dev/vg/lv. */
  readonly name: string;
  readonly kind: 'device' | 'partition' | 'lv';
  /** Bytes, as Linux says. */
  readonly size: bigint;
  readonly device: BlockDevice;
  readonly content: Content;
  /** The device that a partition is on. */
  readonly parent?: string;
  readonly partition?: Partition;
}

/** A volume with its file system. */
export interface Mountable {
  /** The volume's, or `btrfsvol:/dev/sda1/home`. */
  readonly name: string;
  readonly volume: Volume;
  readonly fileSystem: FileSystem;
}

const EXTENDED_TYPES = [0x05, 0x0f, 0x85];
/** What Linux shows of an extended partition: room for a boot loader. */
const EXTENDED_SIZE = 1024n;

/** The name of the disk of an index: /dev/sda, /dev/sdz, /dev/sdaa. */
export function diskName(index: number): string {
  let letters = '';
  for (let left = index; left >= 0; left = Math.floor(left / 26) - 1) {
    letters = String.fromCharCode(97 + (left % 26)) + letters;
  }
  return `/dev/sd${letters}`;
}

/** Disks, their partitions and what these hold, in the order of Linux. @throws BlockError */
export async function listVolumes(
  disks: readonly BlockDevice[],
  options?: RequestOptions,
): Promise<readonly Volume[]> {
  const volumes: Volume[] = [];
  for (const [index, device] of disks.entries()) {
    const name = diskName(index);
    const content = await probe(device, options);
    const whole = content.kind === 'unknown' ? await listPartitions(device, options) : [];
    volumes.push({ name, kind: 'device', size: device.size, device, content });
    for (const partition of whole)
      volumes.push(await partitionOf(name, device, partition, options));
  }
  return volumes;
}

async function partitionOf(
  parent: string,
  disk: BlockDevice,
  partition: Partition,
  options?: RequestOptions,
): Promise<Volume> {
  const { number, start, size, mbrType = 0 } = partition;
  const extended = EXTENDED_TYPES.includes(mbrType);
  const device = sliceDevice(disk, start, size);
  return {
    name: `${parent}${number}`,
    kind: 'partition',
    size: extended ? EXTENDED_SIZE : size,
    device,
    content: extended ? { kind: 'other', type: 'extended' } : await probe(device, options),
    parent,
    partition,
  };
}

/** Whether a volume is one that could hold a file system: no disk with partitions is. */
export function isLeaf(volume: Volume, all: readonly Volume[]): boolean {
  return volume.kind !== 'device' || !all.some(({ parent }) => parent === volume.name);
}

/**
 * The file systems of volumes.
 * @param failed is told of those that cannot be opened.
 */
export async function openFileSystems(
  volumes: readonly Volume[],
  failed: (volume: Volume, words: string) => void,
  options?: RequestOptions,
): Promise<readonly Mountable[]> {
  const found: Mountable[] = [];
  for (const volume of volumes) {
    const { content, name, device } = volume;
    if (content.kind !== 'filesystem') continue;
    try {
      const fileSystem = await content.format.open(device, options);
      found.push({ name, volume, fileSystem });
      for (const { path, fileSystem: inner } of (await fileSystem.subvolumes?.(options)) ?? []) {
        found.push({ name: `btrfsvol:${name}/${path}`, volume, fileSystem: inner });
      }
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      failed(volume, messageOf(error));
    }
  }
  return found;
}
