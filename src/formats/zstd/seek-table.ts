import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BlockTable } from '../../codecs/block-table.ts';
import { bytesAt } from '../../codecs/encoded.ts';

const FOOTER = 9;
const FOOTER_MAGIC = 0x8f92eab1;
/** The header of the skippable frame that the table is. */
const HEADER = 8;
const HEADER_MAGIC = 0x184d2a5e;
const HAS_CHECKSUMS = 0x80;
const RESERVED = 0x7c;
const MOST = 1 << 21;

/**
 * The frames of a file in Zstandard's seekable format; undefined when it is not in that.
 * @param file takes any offset and length. @throws BlockError EIO the table is damaged.
 */
export async function readSeekTable(
  file: BlockDevice,
  options: RequestOptions,
): Promise<BlockTable | undefined> {
  const size = Number(file.size);
  if (size < FOOTER + HEADER) return undefined;
  const footer = await bytesAt(file, size - FOOTER, FOOTER, options);
  if (footer.readUInt32LE(5) !== FOOTER_MAGIC) return undefined;
  const frames = footer.readUInt32LE(0);
  const descriptor = footer[4]!;
  const entry = descriptor & HAS_CHECKSUMS ? 12 : 8;
  const length = HEADER + frames * entry + FOOTER;
  if (descriptor & RESERVED || frames > MOST || length > size) throw wrong();
  const bytes = await bytesAt(file, size - length, length - FOOTER, options);
  const fits = bytes.readUInt32LE(0) === HEADER_MAGIC && bytes.readUInt32LE(4) === length - HEADER;
  if (!fits) throw wrong();
  const table = new BlockTable('zstd');
  let from = 0;
  for (let at = HEADER; at < bytes.length; at += entry) {
    const packed = bytes.readUInt32LE(at);
    table.add({ from, packed, length: bytes.readUInt32LE(at + 4) });
    from += packed;
  }
  if (from > size - length) throw wrong();
  return table;
}

function wrong(): BlockError {
  return new BlockError('EIO', 'zstd: its seek table is damaged');
}
