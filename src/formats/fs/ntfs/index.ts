import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, MOST_ENTRIES } from '../damaged.ts';
import { fixed } from './record.ts';

/** A name in a directory. */
export interface Named {
  readonly name: string;
  /** Number and sequence of its record. */
  readonly reference: bigint;
}

const LAST = 2;
const DOS = 2;
const NAME = 66;
const MOST_BLOCKS = 1 << 20;

/** The value of a directory's root, the blocks below it, and which of these are in use. */
export interface Index {
  readonly root: Buffer;
  readonly blocks: BlockDevice | undefined;
  readonly bitmap: BlockDevice | undefined;
}

/** The names of a directory, without the short ones that DOS has. @throws BlockError EIO */
export async function namesIn(
  what: string,
  { root, blocks, bitmap }: Index,
  options?: RequestOptions,
): Promise<Named[]> {
  if (root.length < 32) throw damaged(what, 'its root is cut short');
  const found = entriesIn(what, root, 16);
  if (!blocks || blocks.size === 0n) return found;
  const size = root.readUInt32LE(8);
  if (size < 512 || size > 65536 || (size & (size - 1)) !== 0)
    throw damaged(what, `blocks of ${size} bytes`);
  const count = Number(blocks.size / BigInt(size));
  if (count > MOST_BLOCKS) throw damaged(what, `it has ${count} blocks`);
  const used = await readAll(bitmap, Math.ceil(count / 8), options);
  for (let block = 0; block < count; block++) {
    if (!((used[block >> 3] ?? 0) & (1 << (block & 7)))) continue;
    const read = contiguous(await blocks.read(BigInt(block) * BigInt(size), size, options));
    const bytes = fixed(Buffer.from(read.buffer, read.byteOffset, size), 'INDX', what);
    found.push(...entriesIn(what, bytes, 24));
    if (found.length > MOST_ENTRIES) throw damaged(what, 'it has too many entries');
  }
  return found;
}

/** The start of a value, as far as it goes. */
async function readAll(device: BlockDevice | undefined, length: number, options?: RequestOptions) {
  if (!device || device.size === 0n) return Buffer.alloc(0);
  const there = device.size < BigInt(length) ? Number(device.size) : length;
  return Buffer.from(contiguous(await device.read(0n, there, options)));
}

/** @param header where the header of the node is, from which its entries are counted. */
function entriesIn(what: string, bytes: Buffer, header: number): Named[] {
  const end = header + bytes.readUInt32LE(header + 4);
  if (end > bytes.length) throw damaged(what, 'a node reaches past its end');
  const found: Named[] = [];
  for (let at = header + bytes.readUInt32LE(header); at + 16 <= end; ) {
    const length = bytes.readUInt16LE(at + 8);
    const keyLength = bytes.readUInt16LE(at + 10);
    if (bytes.readUInt16LE(at + 12) & LAST) break;
    if (length < 16 + keyLength || keyLength < NAME || at + length > end) {
      throw damaged(what, `an entry of ${length} bytes`);
    }
    const key = bytes.subarray(at + 16, at + 16 + keyLength);
    const nameEnd = NAME + 2 * key[64]!;
    if (nameEnd > keyLength) throw damaged(what, 'a name is longer than its entry');
    if (key[65] !== DOS) {
      found.push({
        name: key.toString('utf16le', NAME, nameEnd),
        reference: bytes.readBigUInt64LE(at),
      });
    }
    at += length;
  }
  return found;
}
