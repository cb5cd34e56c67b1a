import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { messageOf } from '../block/errors.ts';
import { sliceDevice } from '../block/slice.ts';
import type { FileSystem } from '../formats/fs/file-system.ts';
import { type Label, readLabel } from '../formats/lvm/label.ts';
import { type LogicalVolume, type VolumeGroup, volumeGroups } from '../formats/lvm/volume-group.ts';
import { listPartitions, type Partition } from '../formats/partition-table/list.ts';
import { type Keys, openEncrypted } from './encrypted.ts';
import { type Content, probe } from './probe.ts';

/** A device that may hold a file system, under the name that Linux would give it. */
export interface Volume {
  /** /dev/sda, /dev/sda1, /dev/vg/lv. */
  readonly name: string;
  readonly kind: 'device' | 'partition' | 'lv' | 'mapped';
  /** Bytes, as Linux says. */
  readonly size: bigint;
  readonly device: BlockDevice;
  readonly content: Content;
  /** The device that a partition is on; the folder of a volume group. */
  readonly parent?: string;
  readonly partition?: Partition;
  readonly logical?: LogicalVolume;
}

/** What is on disks. */
export interface Inventory {
  readonly volumes: readonly Volume[];
  readonly groups: readonly VolumeGroup[];
  readonly physical: readonly PhysicalVolume[];
}

export interface PhysicalVolume {
  readonly name: string;
  readonly label: Label;
}

/** Told of what is there and cannot be read. */
export type Failed = (name: string, words: string) => void;

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

/**
 * Disks, their partitions, LVM volumes, what keys open of all these, and what they hold, in the order of
 * Linux. @throws BlockError
 */
export async function listVolumes(
  disks: readonly BlockDevice[],
  failed: Failed,
  keys: Keys = [],
  options?: RequestOptions,
): Promise<Inventory> {
  const volumes: Volume[] = [];
  for (const [index, device] of disks.entries()) {
    const name = diskName(index);
    const content = await probe(device, options);
    const whole = content.kind === 'unknown' ? await listPartitions(device, options) : [];
    volumes.push({ name, kind: 'device', size: device.size, device, content });
    for (const partition of whole)
      volumes.push(await partitionOf(name, device, partition, options));
  }
  for (const volume of [...volumes]) {
    const opened = await attempt(volume.name, failed, () => clearOf(volume, keys, options));
    if (opened) volumes.push(opened);
  }
  const { groups, physical } = await readGroups(volumes, failed, options);
  for (const group of groups) {
    for (const logical of group.logicalVolumes) {
      const volume = await logicalOf(group, logical, failed, options);
      if (!volume) continue;
      volumes.push(volume);
      const opened = await attempt(volume.name, failed, () => clearOf(volume, keys, options));
      if (opened) volumes.push(opened);
    }
  }
  return { volumes, groups, physical };
}

/** What an encrypted volume holds, if there is a key for it. */
async function clearOf(
  { name: parent, content, device: sealed }: Volume,
  keys: Keys,
  options?: RequestOptions,
): Promise<Volume | undefined> {
  if (content.kind !== 'other' || content.type !== 'crypto_LUKS') return undefined;
  const opened = await openEncrypted(parent, sealed, keys, options);
  if (!opened) return undefined;
  const { name, device } = opened;
  return {
    name,
    kind: 'mapped',
    size: device.size,
    device,
    content: await probe(device, options),
    parent,
  };
}

async function readGroups(
  volumes: readonly Volume[],
  failed: Failed,
  options?: RequestOptions,
): Promise<Pick<Inventory, 'groups' | 'physical'>> {
  const physical: (PhysicalVolume & Volume)[] = [];
  for (const volume of volumes) {
    if (volume.content.kind !== 'other' || volume.content.type !== 'LVM2_member') continue;
    const label = await attempt(volume.name, failed, () => readLabel(volume.device, options));
    if (label) physical.push({ ...volume, label });
  }
  const groups = (await attempt('LVM', failed, async () => volumeGroups(physical))) ?? [];
  return { groups, physical };
}

async function logicalOf(
  { name: group }: VolumeGroup,
  logical: LogicalVolume,
  failed: Failed,
  options?: RequestOptions,
): Promise<Volume | undefined> {
  const parent = `/dev/${group}`;
  const name = `${parent}/${logical.name}`;
  return attempt(name, failed, async () => {
    const device = logical.open();
    const content = await probe(device, options);
    return { name, kind: 'lv', size: logical.size, device, content, parent, logical };
  });
}

async function attempt<T>(
  name: string,
  failed: Failed,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    failed(name, messageOf(error));
    return undefined;
  }
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

/** The file systems of volumes. */
export async function openFileSystems(
  volumes: readonly Volume[],
  failed: Failed,
  options?: RequestOptions,
): Promise<readonly Mountable[]> {
  const found: Mountable[] = [];
  for (const volume of volumes) {
    const { content, name, device } = volume;
    if (content.kind !== 'filesystem') continue;
    await attempt(name, failed, async () => {
      const fileSystem = await content.format.open(device, options);
      found.push({ name, volume, fileSystem });
      for (const { path, fileSystem: inner } of (await fileSystem.subvolumes?.(options)) ?? []) {
        found.push({ name: `btrfsvol:${name}/${path}`, volume, fileSystem: inner });
      }
    });
  }
  return found;
}
