import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { BlockTable } from '../../codecs/block-table.ts';
import { decodedDevice } from '../../codecs/decoded.ts';
import { bytesAt } from '../../codecs/encoded.ts';

export interface LzipOptions extends RequestOptions {
  /** Bytes of the largest member that is decoded, and of the largest dictionary. */
  readonly maxBlock: number;
  /** Most members that are kept in memory. */
  readonly depth: number;
  readonly debug?: ((message: string) => void) | undefined;
}

/** `LZIP`, version 1; the size of the dictionary follows. */
const HEADER_START = Buffer.from('LZIP\x01', 'latin1');
const HEADER = 6;
/** CRC-32, bytes of data, bytes of the member. */
const TRAILER = 20;
/** What a decoder takes beside the dictionary. */
const OVERHEAD = 8 << 20;
const MOST = 1 << 21;
/** lc=3, lp=0, pb=2: lzip has no others. */
const PROPERTIES = 93;

interface Member {
  readonly at: number;
  readonly size: number;
  readonly length: number;
  readonly crc: number;
  readonly dictionary: number;
}

/**
 * What an lzip file holds, for reading. Its members can be decoded each by itself.
 * @param below is closed with it.
 * @throws BlockError EIO it is no lzip file, is damaged, or has a member larger than `maxBlock`.
 */
export async function openLzip(below: BlockDevice, options: LzipOptions): Promise<BlockDevice> {
  const { maxBlock, depth, debug } = options;
  const table = new BlockTable('lzip');
  for (const { at, size, length, crc, dictionary } of await membersOf(below, options)) {
    const packed = size - HEADER - TRAILER;
    table.add({ from: at + HEADER, packed, length, tag: crc * 256 + dictionary });
  }
  debug?.(`${table.count} members, the largest of ${table.largest} bytes`);
  if (table.largest > maxBlock) {
    const words = `its largest member has ${table.largest} bytes, and lzip-max-block is ${maxBlock}`;
    throw bad(`${words}: expected smaller members, or a larger lzip-max-block`);
  }
  return decodedDevice(below, {
    table,
    depth,
    debug,
    tooLarge: `lzip-max-block is ${maxBlock}`,
    encoded: ({ from, packed, tag }) => ({
      coding: { kind: 'lzma', memory: maxBlock + OVERHEAD, crc: Math.floor(tag / 256) },
      before: lzmaHeader(tag % 256),
      from,
      packed,
    }),
  });
}

/** From the last trailer to the first header. */
async function membersOf(below: BlockDevice, options: RequestOptions): Promise<Member[]> {
  const file = alignedDevice(below);
  const members: Member[] = [];
  for (let end = Number(file.size); end > 0 || members.length === 0; ) {
    if (end < HEADER + TRAILER) throw bad('it is no lzip file, or is cut short');
    const trailer = await bytesAt(file, end - TRAILER, TRAILER, options);
    const length = Number(trailer.readBigUInt64LE(4));
    const size = Number(trailer.readBigUInt64LE(12));
    const at = end - size;
    if (at < 0 || size < HEADER + TRAILER) throw bad('it is no lzip file, or is cut short');
    const header = await bytesAt(file, at, HEADER, options);
    if (!header.subarray(0, 5).equals(HEADER_START)) throw bad('the header of a member is missing');
    const crc = trailer.readUInt32LE(0);
    members.push({ at, size, length, crc, dictionary: header[5]! });
    if (members.length > MOST) throw bad(`more than ${MOST} members`);
    end = at;
  }
  return members.reverse();
}

/** What the old format of LZMA begins with, where its end is marked. */
function lzmaHeader(dictionary: number): Buffer {
  const base = 2 ** (dictionary & 0x1f);
  const header = Buffer.alloc(13, 0xff);
  header[0] = PROPERTIES;
  header.writeUInt32LE(Math.min(base - (base / 16) * (dictionary >> 5), 2 ** 32 - 1), 1);
  return header;
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `lzip: ${words}`);
}
