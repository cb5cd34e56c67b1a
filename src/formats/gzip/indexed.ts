import { inflateRawSync } from 'node:zlib';
import { alignedDevice } from '../../block/aligned.ts';
import { closeAll } from '../../block/close-all.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BlockTable, type EncodedBlock } from '../../codecs/block-table.ts';
import { decodedDevice } from '../../codecs/decoded.ts';
import { bytesAt, type Encoded } from '../../codecs/encoded.ts';
import {
  INDEX_MAGIC,
  type Place,
  RECORD,
  readRecord,
  TRAILER,
  WINDOW,
} from '../../codecs/gzip-index.ts';
import { emptyBlocksUpTo } from './empty-blocks.ts';
import { readGzi } from './gzi.ts';

/**
 * What a gzip file holds, for reading, by an index of the places where decoding may begin: one that
 * the coding `gzip-index` has made, or the `.gzi` of bgzip.
 * @param below, as `index`, is closed with it.
 * @throws BlockError EIO the index is damaged, or that of another file.
 */
export async function openIndexedGzip(
  below: BlockDevice,
  index: BlockDevice,
  options: RequestOptions & { readonly debug?: ((message: string) => void) | undefined },
): Promise<BlockDevice> {
  const file = alignedDevice(below);
  const isOurs = index.size >= BigInt(INDEX_MAGIC.length) && (await hasMagic(index, options));
  const table = isOurs
    ? await readIndex(file, index, options)
    : await readGzi(file, index, options);
  options.debug?.(`${table.count} places to begin at, up to ${table.largest} bytes apart`);
  const device = decodedDevice(below, {
    table,
    debug: options.debug,
    encoded: block => (isOurs ? fromPlace(index, block, options) : wholeMembers(block)),
  });
  return { ...device, close: () => closeAll([device, index]) };
}

async function hasMagic(index: BlockDevice, options: RequestOptions): Promise<boolean> {
  return (await bytesAt(index, 0, INDEX_MAGIC.length, options)).equals(INDEX_MAGIC);
}

async function readIndex(
  file: BlockDevice,
  index: BlockDevice,
  options: RequestOptions,
): Promise<BlockTable> {
  const table = new BlockTable('gzip');
  const size = Number(file.size);
  let last: (Place & { readonly at: number }) | undefined;
  for (let at = INDEX_MAGIC.length; ; ) {
    if (BigInt(at + RECORD) > index.size) throw bad('the index is cut short');
    const place = readRecord(await bytesAt(index, at, RECORD, options));
    const goesOn =
      last === undefined ? place.out === 0 : place.out >= last.out && place.in >= last.in;
    if (!goesOn || place.in > size) throw bad('the index is that of another file, or damaged');
    if (last) {
      const packed = place.in - last.in;
      table.add({ from: last.in, packed, length: place.out - last.out, tag: last.at });
    }
    last = { ...place, at };
    at += RECORD;
    if (place.isEnd) {
      await checkTrailer(file, index, place, at, options);
      return table;
    }
    at += place.length;
  }
}

/** The check sum and length at the end of a gzip file tell it from others. */
async function checkTrailer(
  file: BlockDevice,
  index: BlockDevice,
  end: Place,
  at: number,
  options: RequestOptions,
): Promise<void> {
  const isWhole = BigInt(at + TRAILER) <= index.size && end.in >= TRAILER;
  const expected = isWhole && (await bytesAt(index, at, TRAILER, options));
  const trailer = isWhole && (await bytesAt(file, end.in - TRAILER, TRAILER, options));
  if (expected && trailer && expected.equals(trailer)) return;
  throw bad('the index is that of another file, or damaged');
}

async function fromPlace(
  index: BlockDevice,
  { from, packed, tag }: EncodedBlock,
  options: RequestOptions,
): Promise<Encoded> {
  const { byte, bits, length } = readRecord(await bytesAt(index, tag, RECORD, options));
  const packedWindow = await bytesAt(index, tag + RECORD, length, options);
  const dictionary = length > 0 ? window(packedWindow) : undefined;
  return {
    coding: { kind: 'deflate', part: true, dictionary },
    before: emptyBlocksUpTo(byte, bits),
    from,
    packed,
  };
}

function window(bytes: Buffer): Uint8Array {
  try {
    return inflateRawSync(bytes, { maxOutputLength: WINDOW });
  } catch {
    throw bad('the index is damaged');
  }
}

function wholeMembers({ from, packed }: EncodedBlock): Encoded {
  return { coding: { kind: 'gzip' }, from, packed };
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `gzip: ${words}`);
}
