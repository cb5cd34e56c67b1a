import { gunzipSync } from 'node:zlib';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BlockTable } from '../../codecs/block-table.ts';
import { bytesAt } from '../../codecs/encoded.ts';

const MOST = 1 << 21;
/** After the last place there is one member of 64 KiB, and an empty one. */
const LONGEST_TAIL = 1 << 20;

/**
 * The members of a gzip file by the `.gzi` that bgzip makes: a number, and for each member but the
 * first where it begins, compressed and not.
 * @throws BlockError EIO it is none, or that of another file.
 */
export async function readGzi(
  file: BlockDevice,
  gzi: BlockDevice,
  options: RequestOptions,
): Promise<BlockTable> {
  if (gzi.size < 8n || gzi.size > BigInt(8 + 16 * MOST)) throw bad('it is no index');
  const bytes = await bytesAt(gzi, 0, Number(gzi.size), options);
  const count = Number(bytes.readBigUInt64LE(0));
  if (bytes.length !== 8 + 16 * count) throw bad('it is no index');
  const table = new BlockTable('gzip');
  let last = { from: 0, start: 0 };
  for (let at = 8; at < bytes.length; at += 16) {
    const from = Number(bytes.readBigUInt64LE(at));
    const start = Number(bytes.readBigUInt64LE(at + 8));
    const goesOn = from > last.from && start >= last.start && from <= Number(file.size);
    if (!goesOn) throw bad('it is that of another file, or damaged');
    table.add({ from: last.from, packed: from - last.from, length: start - last.start });
    last = { from, start };
  }
  const packed = Number(file.size) - last.from;
  if (packed > LONGEST_TAIL) throw bad('it is that of another file, or damaged');
  const tail = await bytesAt(file, last.from, packed, options);
  table.add({ from: last.from, packed, length: lengthOf(tail) });
  return table;
}

function lengthOf(members: Buffer): number {
  try {
    return gunzipSync(members, { maxOutputLength: LONGEST_TAIL }).length;
  } catch {
    throw bad('it is that of another file, or damaged');
  }
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `gzip-index-path: ${words}`);
}
