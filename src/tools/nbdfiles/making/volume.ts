import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { paddingDevice } from '../../../block/constant.ts';
import type { BlockDevice } from '../../../block/device.ts';
import { UsageError } from '../../../block/errors.ts';
import { joinDevices } from '../../../block/join.ts';
import { PASS, wrapDevice } from '../../../block/wrap.ts';
import {
  checkExtLabel,
  type ExtType,
  makeExt,
  type WantedSize,
} from '../../../content/ext/make.ts';
import { checkFatLabel, lazyFile, readTree } from '../../../content/fat/files.ts';
import { fat32Device } from '../../../formats/fat32/fat32.ts';
import { namelessFile } from '../../../posix/temporary.ts';
import { fileDevice } from '../../../stores/file/device.ts';
import { sharedDescriptor } from '../../../stores/file/open.ts';

export interface VolumeWishes {
  readonly type: ExtType | 'fat';
  readonly label: string | undefined;
  readonly wanted: WantedSize;
  /** Bytes of the disk in front of it. */
  readonly before: number;
  /** Of the disk's sectors, in bytes. */
  readonly sector: number;
  /** Told of what is to be said. */
  warn(words: string): void;
}

const SECTOR = 512;
const NO_LABEL = 'NO NAME';
/** What the tables of a larger FAT take of it, at most. */
const FAT_OVERHEAD = 1.02;

/**
 * A file system with the files of a folder, as a device.
 * @throws UsageError what it cannot hold; BlockError mke2fs fails.
 */
export function makeVolume(folder: string, wishes: VolumeWishes): Promise<BlockDevice> {
  return wishes.type === 'fat' ? fatVolume(folder, wishes) : extVolume(folder, wishes, wishes.type);
}

async function extVolume(
  dir: string,
  { label = '', wanted, sector, warn }: VolumeWishes,
  type: ExtType,
): Promise<BlockDevice> {
  checkExtLabel(label);
  const blockSize = sector > SECTOR ? sector : undefined;
  const wishes = { dir, type, label, start: 0, blockSize };
  const fd = namelessFile();
  try {
    const unit = blockSize ?? (sizeOf(wanted) < 4 << 20 ? 1024 : 4096);
    const rounded = 'size' in wanted ? { size: wanted.size - (wanted.size % unit) } : wanted;
    const { warnings } = await makeExt(fd, wishes, rounded);
    warnings.forEach(warn);
    const close = async () => closeSync(fd);
    const volume = wrapDevice(fileDevice(sharedDescriptor(fd, true)), { ...PASS, close });
    return filled(volume, wanted);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

const sizeOf = (wanted: WantedSize) => ('size' in wanted ? wanted.size : Number.POSITIVE_INFINITY);

/** As large as was wanted: what is no whole block is left over. */
function filled(volume: BlockDevice, wanted: WantedSize): BlockDevice {
  const rest = 'size' in wanted ? BigInt(wanted.size) - volume.size : 0n;
  return rest === 0n ? volume : joinDevices([volume, paddingDevice(rest)]);
}

async function fatVolume(
  folder: string,
  { label = NO_LABEL, wanted, before, sector, warn }: VolumeWishes,
): Promise<BlockDevice> {
  checkFatLabel(label);
  if (sector !== SECTOR) throw new UsageError('--blocksize: FAT is made with sectors of 512 bytes');
  const leftOut = (path: string) =>
    warn(`${path}: is left out: FAT has files and directories only`);
  const root = readTree(folder, folder, leftOut);
  const options = {
    label,
    hiddenSectors: before / SECTOR,
    serial: randomBytes(4).readUInt32LE(),
    open: lazyFile,
  };
  const sectors = 'size' in wanted ? Math.floor(wanted.size / SECTOR) : undefined;
  const volume = fat32Device(root, { ...options, sectors });
  if ('size' in wanted || wanted.free === 0) return filled(volume, wanted);
  const larger = Number(volume.size) + wanted.free * FAT_OVERHEAD;
  return fat32Device(root, { ...options, sectors: Math.ceil(larger / SECTOR) });
}
