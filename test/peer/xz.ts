/** xz files made byte by byte, of blocks that hold their bytes as they are. */
import { crc32 } from 'node:zlib';
import { writeVli } from '../../src/formats/xz/wire.ts';

export interface XzBlock {
  readonly bytes: Buffer;
  /** How large a dictionary the block asks for: 0 is 4 KiB, 40 is 4 GiB. */
  readonly dictionary?: number;
  /** What the index says of its size. */
  readonly claim?: number;
}

const MAGIC = Buffer.from('fd377a585a00', 'hex');
/** CRC-32. */
const FLAGS = Buffer.from([0, 1]);
const CHUNK = 1 << 16;

function sum(bytes: Buffer): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(crc32(bytes));
  return four;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

function blockOf({ bytes, dictionary = 8 }: XzBlock): { block: Buffer; unpadded: number } {
  const fields = Buffer.from([2, 0, 0x21, 1, dictionary, 0, 0, 0]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const chunk = bytes.subarray(at, at + CHUNK);
    const size = chunk.length - 1;
    chunks.push(Buffer.from([at === 0 ? 1 : 2, size >> 8, size & 255]), chunk);
  }
  const data = Buffer.concat([fields, sum(fields), ...chunks, Buffer.from([0])]);
  return { block: Buffer.concat([padded(data), sum(bytes)]), unpadded: data.length + 4 };
}

/** A stream of these blocks. */
export function xzStream(blocks: readonly XzBlock[]): Buffer {
  const made = blocks.map(blockOf);
  const records = made.flatMap(({ unpadded }, index) => {
    const { bytes, claim = bytes.length } = blocks[index]!;
    return [...writeVli(unpadded), ...writeVli(claim)];
  });
  const index = padded(Buffer.from([0, ...writeVli(blocks.length), ...records]));
  const footer = Buffer.alloc(6);
  footer.writeUInt32LE((index.length + 4) / 4 - 1);
  FLAGS.copy(footer, 4);
  return Buffer.concat([
    ...[MAGIC, FLAGS, sum(FLAGS)],
    ...made.map(({ block }) => block),
    ...[index, sum(index)],
    ...[sum(footer), footer, Buffer.from('YZ')],
  ]);
}
