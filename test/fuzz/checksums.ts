/** Checksums of structures on disks, made right again after these were damaged. */
import { crc32c } from '../../src/block/crc32c.ts';

/** Where a structure of some size, aligned to it, has its checksum, and how that is made. */
export interface SumForm {
  readonly size: number;
  readonly at: number;
  /** Of a structure whose field is zero. */
  sum(bytes: Buffer): number;
}

const usual = (bytes: Buffer) => ~crc32c(~0, bytes) >>> 0;
const forms = (sizes: readonly number[], places: readonly number[], sum: SumForm['sum']) =>
  sizes.flatMap(size => places.map((at): SumForm => ({ size, at, sum })));

/** Of superblock, headers of allocation groups, directories, trees, inodes, links: by their places. */
const XFS_PLACES = [4, 12, 16, 32, 52, 64, 100, 216, 224, 312] as const;

/** By file system; of ext4 the superblock only, as the others begin with numbers of their own. */
export const FORMS: Readonly<Record<string, readonly SumForm[]>> = {
  btrfs: forms([4096, 16384], [0], bytes => usual(bytes.subarray(32))),
  xfs: forms([512, 4096], XFS_PLACES, usual),
  ext4: forms([1024], [1020], bytes => crc32c(~0, bytes.subarray(0, 1020))),
};

/**
 * Makes the checksum right of the structure in which a place lies, if one was right there before.
 * @param start of the bytes on the disk. @param offset of the place on the disk.
 */
export function repairSum(
  all: readonly SumForm[],
  { before, after, start }: { before: Buffer; after: Buffer; start: number },
  offset: number,
): void {
  for (const form of all) {
    const at = offset - (offset % form.size) - start;
    if (at < 0 || at + form.size > before.length) continue;
    const old = before.subarray(at, at + form.size);
    if (old.readUInt32LE(form.at) !== sumOf(form, old)) continue;
    const changed = after.subarray(at, at + form.size);
    changed.writeUInt32LE(sumOf(form, changed), form.at);
    return;
  }
}

function sumOf({ at, sum }: SumForm, bytes: Buffer): number {
  const zeroed = Buffer.from(bytes);
  zeroed.writeUInt32LE(0, at);
  return sum(zeroed);
}
