import { randomUUID } from 'node:crypto';
import { constantDevice, paddingDevice } from '../../../block/constant.ts';
import type { BlockDevice } from '../../../block/device.ts';
import { UsageError } from '../../../block/errors.ts';
import { joinDevices } from '../../../block/join.ts';
import {
  backupSectors,
  gptTables,
  LINUX_FILESYSTEM,
} from '../../../formats/partition-table/gpt.ts';
import { MBR_LIMIT, mbrSector, SECTOR } from '../../../formats/partition-table/mbr.ts';

export type Table = 'mbr' | 'gpt';

/** What a partition says that it holds: the byte of an MBR, the GUID of a GPT. */
export interface PartitionType {
  readonly mbr: number;
  readonly gpt: string;
}

export const LINUX: PartitionType = { mbr: 0x83, gpt: LINUX_FILESYSTEM };
/** FAT32, found by LBA; basic data. */
export const FAT: PartitionType = { mbr: 0x0c, gpt: 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7' };

/** The partition begins here, in bytes. */
export const START = 1 << 20;
const BACKUP = backupSectors(1) * BigInt(SECTOR);
const FIRST = BigInt(START);
const OF_SECTOR = BigInt(SECTOR);

/** Bytes of a disk with such a table that its partition does not have. */
export function overheadOf(table: Table | undefined): number {
  if (table === undefined) return 0;
  return START + (table === 'gpt' ? Number(BACKUP) : 0);
}

/**
 * A disk with one partition, which holds a volume of whole sectors.
 * @throws UsageError it is too large for the table.
 */
export function partitioned(volume: BlockDevice, table: Table, type: PartitionType): BlockDevice {
  const place = { start: FIRST / OF_SECTOR, sectors: volume.size / OF_SECTOR };
  if (table === 'mbr') {
    if (place.sectors > MBR_LIMIT) {
      throw new UsageError('--partition: mbr: ends at 2 TiB: expected gpt for a larger disk');
    }
    const sector = mbrSector([{ ...place, type: type.mbr }]);
    return joinDevices([constantDevice(sector), paddingDevice(FIRST - OF_SECTOR), volume]);
  }
  const sectors = (FIRST + volume.size + BACKUP) / OF_SECTOR;
  const partition = { ...place, type: type.gpt, guid: randomUUID().toUpperCase(), name: '' };
  const { primary, backup } = gptTables([partition], sectors, randomUUID().toUpperCase());
  const gap = paddingDevice(FIRST - BigInt(primary.length));
  return joinDevices([constantDevice(primary), gap, volume, constantDevice(backup)]);
}
