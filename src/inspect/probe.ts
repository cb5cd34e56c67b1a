import { alignedDevice } from '../block/aligned.ts';
import { contiguous } from '../block/data.ts';
import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { btrfs } from '../formats/fs/btrfs/btrfs.ts';
import { ext } from '../formats/fs/ext/ext.ts';
import { fat } from '../formats/fs/fat/fat.ts';
import type { FileSystem, FileSystemFormat } from '../formats/fs/file-system.ts';
import { iso } from '../formats/fs/iso/iso.ts';
import { nameOf } from '../formats/fs/names.ts';
import { ntfs } from '../formats/fs/ntfs/ntfs.ts';
import { squashfs } from '../formats/fs/squashfs/squashfs.ts';
import { uuidText } from '../formats/fs/uuid.ts';
import { xfs } from '../formats/fs/xfs/xfs.ts';

/** What a device holds, by what it begins with. */
export type Content =
  | { readonly kind: 'filesystem'; readonly format: FileSystemFormat }
  | { readonly kind: 'swap'; readonly label: string; readonly uuid: string | undefined }
  /** Known by name, and not read here: an LVM volume, an encrypted one. */
  | { readonly kind: 'other'; readonly type: string }
  | { readonly kind: 'unknown' };

const FORMATS: readonly FileSystemFormat[] = [ext, xfs, btrfs, ntfs, squashfs, iso, fat];

/** Bytes that tell what a device is: the superblock of btrfs is at 64 KiB. */
const START = 128 << 10;

/** Recognises what is on a device. @throws BlockError of the device. */
export async function probe(device: BlockDevice, options?: RequestOptions): Promise<Content> {
  const length = device.size < BigInt(START) ? Number(device.size) : START;
  if (length === 0) return { kind: 'unknown' };
  const read = contiguous(await alignedDevice(device).read(0n, length, options));
  const start = Buffer.from(read.buffer, read.byteOffset, read.length);
  const type = otherType(start);
  if (type !== undefined) return { kind: 'other', type };
  const format = FORMATS.find(candidate => candidate.matches(start, device));
  if (format) return { kind: 'filesystem', format };
  return swapIn(start) ?? { kind: 'unknown' };
}

/** The file system on a device. @throws BlockError ENOENT there is none that is known. */
export async function fileSystemOf(
  device: BlockDevice,
  options?: RequestOptions,
): Promise<FileSystem> {
  const content = await probe(device, options);
  if (content.kind === 'filesystem') return content.format.open(device, options);
  throw new BlockError('ENOENT', 'there is no file system that is known');
}

const LUKS = Buffer.from('LUKS\xba\xbe', 'latin1');
const LVM_SECTORS = 4;

function otherType(start: Buffer): string | undefined {
  if (start.subarray(0, LUKS.length).equals(LUKS)) return 'crypto_LUKS';
  for (let sector = 0; sector < LVM_SECTORS; sector++) {
    if (start.toString('latin1', 512 * sector, 512 * sector + 8) === 'LABELONE')
      return 'LVM2_member';
  }
  return undefined;
}

const PAGE_SIZES = [4096, 8192, 16384, 65536] as const;
/** Where label and UUID of swap space are. */
const SWAP = { uuid: 1036, label: 1052 } as const;

/** The magic number of swap is at the end of its first page. */
function swapIn(start: Buffer): Content | undefined {
  for (const page of PAGE_SIZES) {
    if (start.toString('latin1', page - 10, page) !== 'SWAPSPACE2') continue;
    const label = start.subarray(SWAP.label, SWAP.label + 16);
    const end = label.indexOf(0);
    return {
      kind: 'swap',
      label: nameOf(end < 0 ? label : label.subarray(0, end)),
      uuid: uuidText(start.subarray(SWAP.uuid, SWAP.uuid + 16)),
    };
  }
  return undefined;
}
