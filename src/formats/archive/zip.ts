import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readOnlyDevice } from '../../block/read-only.ts';
import { sliceDevice } from '../../block/slice.ts';
import { BlockTable } from '../../codecs/block-table.ts';
import type { Coding } from '../../codecs/coding.ts';
import { decodedDevice } from '../../codecs/decoded.ts';
import { bytesAt } from '../../codecs/encoded.ts';
import type { ArchiveEntry, OpenEntry } from './entry.ts';
import { bad, readDirectory, type ZipRecord } from './zip-directory.ts';

const HEADER = { magic: 0x04034b50, length: 30 } as const;
const STORED = 0;
const KINDS: Readonly<Record<number, Coding['kind']>> = {
  8: 'deflate',
  12: 'bzip2',
  93: 'zstd',
  95: 'xz',
};

/** The files of a zip archive, in the order of its directory. @throws BlockError */
export async function* zipEntries(
  archive: BlockDevice,
  options: RequestOptions,
): AsyncGenerator<ArchiveEntry> {
  for (const record of await readDirectory(alignedDevice(archive), options)) {
    const { name, size } = record;
    if (name.endsWith('/')) continue;
    yield { name, size, open: (file, more) => openRecord(file, record, more) };
  }
}

/** Only for reading: the archive has check sums of its files. */
async function openRecord(
  archive: BlockDevice,
  record: ZipRecord,
  options: OpenEntry,
): Promise<BlockDevice> {
  const { name, method, size, packed, crc } = record;
  if (record.isEncrypted) throw new BlockError('ENOTSUP', `zip: '${name}' is encrypted`);
  const kind = KINDS[method];
  if (method !== STORED && kind === undefined) {
    throw new BlockError('ENOTSUP', `zip: '${name}' is compressed by method ${method}`);
  }
  const from = await dataOf(archive, record, options);
  if (kind === undefined) return readOnlyDevice(sliceDevice(archive, BigInt(from), BigInt(size)));
  const table = new BlockTable('zip');
  table.add({ from, packed, length: size });
  const encoded = () => ({ coding: { kind, crc }, from, packed });
  return decodedDevice(archive, { table, encoded, debug: options.debug });
}

/** Where the bytes of a file are: behind its header, whose length the directory does not say. */
async function dataOf(
  archive: BlockDevice,
  { at, method, packed, size }: ZipRecord,
  options: RequestOptions,
): Promise<number> {
  const file = alignedDevice(archive);
  const end = Number(archive.size);
  if (at + HEADER.length > end) throw bad('its directory is damaged');
  const header = await bytesAt(file, at, HEADER.length, options);
  const from = at + HEADER.length + header.readUInt16LE(26) + header.readUInt16LE(28);
  const fits = from + packed <= end && (method !== STORED || packed === size);
  if (header.readUInt32LE(0) === HEADER.magic && fits) return from;
  throw bad('its directory is damaged');
}
