import { damaged } from '../damaged.ts';
import { codePageText } from './names.ts';

/** How a FAT file system is laid out, in bytes unless said. */
export interface Layout {
  readonly bits: 12 | 16 | 32;
  readonly cluster: number;
  /** Clusters, which are counted from 2 on. */
  readonly clusters: number;
  /** Where the first table begins, and its length. */
  readonly table: { readonly offset: number; readonly length: number };
  /** The root directory of FAT12 and FAT16. */
  readonly root: { readonly offset: number; readonly length: number };
  /** Its first cluster, of FAT32. */
  readonly rootCluster: number;
  /** Where cluster 2 begins. */
  readonly data: number;
  /** Where the number of free clusters is noted; 0: nowhere. */
  readonly info: number;
  readonly label: string;
  readonly uuid: string;
}

const FAT12_MOST = 4084;
const isPowerOfTwo = (value: number) => value > 0 && (value & (value - 1)) === 0;

/** Whether a device begins as a FAT file system, as the kernel looks at it. */
export function isBootSector(start: Buffer): boolean {
  if (start.length < 512) return false;
  const sector = start.readUInt16LE(11);
  const media = start[21]!;
  const fats = start[16]!;
  return (
    [512, 1024, 2048, 4096].includes(sector) &&
    isPowerOfTwo(start[13]!) &&
    start.readUInt16LE(14) > 0 &&
    (fats === 1 || fats === 2) &&
    (media === 0xf0 || media >= 0xf8) &&
    (start[0] === 0xeb || start[0] === 0xe9) &&
    start.toString('latin1', 3, 11) !== 'NTFS    ' &&
    start.toString('latin1', 3, 11) !== 'EXFAT   '
  );
}

/** @param size of the device. @throws BlockError EIO */
export function readLayout(sector: Buffer, size: number): Layout {
  const bad = (why: string) => damaged('fat: boot sector', why);
  const u16 = (at: number) => sector.readUInt16LE(at);
  const u32 = (at: number) => sector.readUInt32LE(at);
  const unit = u16(11);
  const cluster = unit * sector[13]!;
  if (cluster > 1 << 18) throw bad(`a cluster of ${cluster} bytes`);
  const sectors = u16(19) || u32(32);
  const is32 = u16(22) === 0;
  const tableSectors = u16(22) || u32(36);
  const rootLength = Math.ceil((u16(17) * 32) / unit) * unit;
  const offset = u16(14) * unit;
  const rootOffset = offset + sector[16]! * tableSectors * unit;
  const data = rootOffset + rootLength;
  const clusters = Math.floor((sectors * unit - data) / cluster);
  if (tableSectors === 0 || clusters < 1) throw bad('it has no room for files');
  if (data + cluster > size) throw bad('it is longer than the disk');
  const bits = is32 ? 32 : clusters > FAT12_MOST ? 16 : 12;
  const length = tableSectors * unit;
  const fits = Math.floor((length * 8) / bits) - 2;
  const extra = is32 ? 64 : 36;
  return {
    bits,
    cluster,
    clusters: Math.min(clusters, fits),
    table: { offset, length },
    root: { offset: rootOffset, length: rootLength },
    rootCluster: is32 ? u32(44) : 0,
    data,
    info: is32 && u16(48) > 0 && u16(48) < u16(14) ? u16(48) * unit : 0,
    label: labelIn(sector.subarray(extra + 7, extra + 18)),
    uuid: serial(u32(extra + 3)),
  };
}

/** What is said when there is no label. */
const NO_LABEL = 'NO NAME';

export function labelIn(bytes: Buffer): string {
  const label = codePageText(bytes).trimEnd();
  return label === NO_LABEL ? '' : label;
}

function serial(number: number): string {
  return number.toString(16).toUpperCase().padStart(8, '0').replace(/^.{4}/, '$&-');
}
