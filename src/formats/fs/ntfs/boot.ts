import { damaged } from '../damaged.ts';

/** How an NTFS volume is laid out, in bytes. */
export interface Boot {
  readonly sector: number;
  readonly cluster: number;
  readonly clusters: number;
  /** Where the table of files begins. */
  readonly table: number;
  readonly record: number;
  readonly uuid: string;
}

export function isBoot(start: Buffer): boolean {
  return start.length >= 512 && start.toString('latin1', 3, 11) === 'NTFS    ';
}

/** @throws BlockError EIO */
export function readBoot(bytes: Buffer, deviceSize: number): Boot {
  const bad = (why: string) => damaged('ntfs: boot sector', why);
  const sector = bytes.readUInt16LE(11);
  const code = bytes[13]!;
  const cluster = sector * (code > 0x80 ? 2 ** (256 - code) : code);
  const isPower = (size: number) => size > 0 && (size & (size - 1)) === 0;
  if (!isPower(sector) || sector < 256 || sector > 4096) throw bad(`sectors of ${sector} bytes`);
  if (!isPower(cluster) || cluster > 2 << 20) throw bad(`clusters of ${cluster} bytes`);
  const size = Number(bytes.readBigUInt64LE(40)) * sector;
  if (!(size <= deviceSize) || size < cluster)
    throw bad(`it has ${size} bytes, and the disk ${deviceSize}`);
  const perRecord = bytes.readInt8(64);
  const record = perRecord > 0 ? perRecord * cluster : 2 ** -perRecord;
  if (!isPower(record) || record < 256 || record > 65536) throw bad(`records of ${record} bytes`);
  const table = Number(bytes.readBigUInt64LE(48)) * cluster;
  if (!(table + record <= deviceSize)) throw bad('the table of files is outside of the disk');
  return {
    sector,
    cluster,
    clusters: Math.floor(size / cluster),
    table,
    record,
    uuid: bytes.readBigUInt64LE(72).toString(16).toUpperCase().padStart(16, '0'),
  };
}
