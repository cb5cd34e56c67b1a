import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { sliceDevice } from '../../block/slice.ts';
import type { Label } from './label.ts';
import { stripedDevice } from './striped.ts';
import { numberIn, parseText, type Section, sectionsIn, textIn, type Value } from './text.ts';

/** A physical volume that is there. */
export interface PhysicalVolume {
  readonly label: Label;
  readonly device: BlockDevice;
}

export interface VolumeGroup {
  readonly name: string;
  /** As LVM prints it. */
  readonly id: string;
  /** Bytes. */
  readonly size: bigint;
  /** Its physical volumes: their ids without dashes, and the bytes that are for volumes. */
  readonly physicalVolumes: readonly { readonly id: string; readonly size: bigint }[];
  readonly logicalVolumes: readonly LogicalVolume[];
}

export interface LogicalVolume {
  readonly name: string;
  readonly id: string;
  readonly size: bigint;
  /** @throws BlockError ENOTSUP it is of a kind that is not read; EIO a physical volume is missing. */
  open(): BlockDevice;
}

const SECTOR = 512n;
const bad = (words: string) => new BlockError('EIO', `lvm: ${words}`);
const bare = (id: string) => id.replaceAll('-', '');

/**
 * The volume groups of physical volumes: of each the newest description. The devices stay the
 * caller's. @throws BlockError EIO a description is damaged.
 */
export function volumeGroups(volumes: readonly PhysicalVolume[]): VolumeGroup[] {
  const newest = new Map<string, { name: string; section: Section; number: number }>();
  for (const { label } of volumes) {
    if (label.text === undefined) continue;
    const [name, section] =
      [...parseText(label.text)].find(([, value]) => value instanceof Map) ?? [];
    if (name === undefined || !(section instanceof Map))
      throw bad('metadata: no volume group is in it');
    const [id, number] = [textIn(section, 'id'), numberIn(section, 'seqno')];
    if ((newest.get(id)?.number ?? -1) < number) newest.set(id, { name, section, number });
  }
  return [...newest.values()].map(({ name, section }) => groupOf(name, section, volumes));
}

/** A physical volume as its group knows it. */
interface Member {
  readonly id: string;
  readonly start: bigint;
  readonly extents: number;
  readonly device: BlockDevice | undefined;
}

function groupOf(name: string, section: Section, volumes: readonly PhysicalVolume[]): VolumeGroup {
  const extent = BigInt(numberIn(section, 'extent_size')) * SECTOR;
  const members = new Map<string, Member>();
  for (const [key, volume] of sectionsIn(section, 'physical_volumes')) {
    const id = bare(textIn(volume, 'id'));
    members.set(key, {
      id,
      start: BigInt(numberIn(volume, 'pe_start')) * SECTOR,
      extents: numberIn(volume, 'pe_count'),
      device: volumes.find(({ label }) => label.id === id)?.device,
    });
  }
  const logical = sectionsIn(section, 'logical_volumes').filter(([, volume]) => isVisible(volume));
  const extents = [...members.values()].reduce((sum, member) => sum + member.extents, 0);
  return {
    name,
    id: textIn(section, 'id'),
    size: BigInt(extents) * extent,
    physicalVolumes: [...members.values()].map(({ id, extents: count }) => ({
      id,
      size: BigInt(count) * extent,
    })),
    logicalVolumes: logical.map(([volumeName, volume]) => {
      const what = `${name}/${volumeName}`;
      const segments = segmentsOf(what, volume);
      const count = segments.reduce((sum, segment) => sum + numberIn(segment, 'extent_count'), 0);
      const open = () =>
        joinDevices(segments.map(segment => segmentDevice(what, segment, { extent, members })));
      return { name: volumeName, id: textIn(volume, 'id'), size: BigInt(count) * extent, open };
    }),
  };
}

/** Volumes that others are made of are not for users. */
function isVisible(volume: Section): boolean {
  const status = volume.get('status');
  return Array.isArray(status) && status.includes('VISIBLE');
}

/** The segments, one after the other. */
function segmentsOf(what: string, volume: Section): Section[] {
  const count = numberIn(volume, 'segment_count');
  const segments: Section[] = [];
  let next = 0;
  for (let number = 1; number <= count; number++) {
    const segment = volume.get(`segment${number}`);
    if (!(segment instanceof Map)) throw bad(`${what}: segment ${number} is missing`);
    if (numberIn(segment, 'start_extent') !== next)
      throw bad(`${what}: segment ${number} leaves a gap`);
    next += numberIn(segment, 'extent_count');
    segments.push(segment);
  }
  return segments;
}

interface Layout {
  readonly extent: bigint;
  readonly members: ReadonlyMap<string, Member>;
}

function segmentDevice(what: string, segment: Section, { extent, members }: Layout): BlockDevice {
  const type = textIn(segment, 'type');
  if (type !== 'striped')
    throw new BlockError('ENOTSUP', `lvm: ${what}: a ${type} volume is not supported`);
  const count = numberIn(segment, 'stripe_count');
  const extents = numberIn(segment, 'extent_count');
  const stripes = segment.get('stripes');
  if (
    count === 0 ||
    extents % count !== 0 ||
    !Array.isArray(stripes) ||
    stripes.length !== 2 * count
  ) {
    throw bad(`${what}: its stripes are damaged`);
  }
  const size = BigInt(extents / count) * extent;
  const devices = Array.from({ length: count }, (_, index) =>
    stripeDevice(what, stripes.slice(2 * index), size, { extent, members }),
  );
  if (count === 1) return devices[0]!;
  const stripe = numberIn(segment, 'stripe_size') * Number(SECTOR);
  if (stripe === 0 || size % BigInt(stripe) !== 0n)
    throw bad(`${what}: stripes of ${stripe} bytes`);
  return stripedDevice(devices, stripe);
}

function stripeDevice(
  what: string,
  [name, first]: readonly Value[],
  size: bigint,
  { extent, members }: Layout,
): BlockDevice {
  const member = typeof name === 'string' ? members.get(name) : undefined;
  if (!member || typeof first !== 'number') throw bad(`${what}: its stripes are damaged`);
  if (!member.device) throw bad(`${what}: the physical volume ${member.id} is missing`);
  const start = member.start + BigInt(first) * extent;
  if (start + size > member.device.size) throw bad(`${what}: it reaches past the end of a disk`);
  return sliceDevice(member.device, start, size);
}
