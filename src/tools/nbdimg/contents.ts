import type { BlockDevice } from '../../block/device.ts';
import { messageOf } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';
import { humanSize } from './common.ts';

/** A partition, a volume, or the disk as a whole, and what it holds. */
export interface Holding {
  readonly name: string;
  /** Where it begins on the disk, in bytes, of partitions. */
  readonly start?: bigint;
  readonly size: bigint;
  /** `ext4`, `swap`, `crypto_LUKS`, or a table of partitions; undefined: nothing that is known. */
  readonly type?: string;
  readonly label?: string;
  readonly uuid?: string;
}

/** What is on a disk: partitions, volumes and file systems. @throws BlockError of the disk */
export async function contentsOf(disk: BlockDevice): Promise<Holding[]> {
  const { listVolumes } = await import('../../inspect/volumes.ts');
  const holdings: Holding[] = [];
  // What cannot be read is shown without what it holds.
  const { volumes } = await listVolumes([disk], () => {});
  const table = volumes.find(({ partition }) => partition)?.partition?.kind;
  for (const { name, size, device, content, partition } of volumes) {
    const place = { name, size, ...(partition && { start: partition.start }) };
    if (content.kind === 'filesystem') {
      const { type, label, uuid } = await content.format
        .open(device)
        .catch(error => ({ type: content.format.name, label: messageOf(error), uuid: undefined }));
      holdings.push({ ...place, type, label, ...(uuid !== undefined && { uuid }) });
    } else if (content.kind === 'swap') {
      const { label, uuid } = content;
      holdings.push({ ...place, type: 'swap', label, ...(uuid !== undefined && { uuid }) });
    } else if (content.kind === 'other') holdings.push({ ...place, type: content.type });
    else if (device === disk && table) holdings.push({ ...place, type: table });
    else holdings.push(place);
  }
  return holdings;
}

/** A line for each, for people. */
export function contentsLines(holdings: readonly Holding[]): string[] {
  return holdings.map(({ name, start, size, type, label, uuid }) => {
    const words = [
      `${humanSize(size)}${start === undefined ? '' : ` at ${start}`}`,
      type ?? 'unknown',
      label ? `label ${harmless(label)}` : '',
      uuid === undefined ? '' : `UUID ${harmless(uuid)}`,
    ];
    return `    ${harmless(name)}: ${words.filter(word => word !== '').join(', ')}`;
  });
}
