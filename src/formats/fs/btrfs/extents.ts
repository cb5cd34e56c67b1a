import { andThen } from '../../../block/answer.ts';
import { contiguous } from '../../../block/data.ts';
import { Scratch } from '../../../block/scratch.ts';
import { decodeLzo } from '../../../codecs/lzo.ts';
import { damaged, unsupported } from '../damaged.ts';
import { type Compression, decompress } from '../decompress.ts';
import type { Readable, Run } from '../file-device.ts';
import { Frames, type MakeBlock } from '../frames.ts';
import type { Chunks } from './chunks.ts';
import type { SummedData } from './sums.ts';

const COMPRESSIONS: readonly (Compression | undefined)[] = [undefined, 'zlib', 'lzo', 'zstd'];
const KIND = { inline: 0, regular: 1, preallocated: 2 } as const;
const INLINE_HEAD = 21;
const HEAD = 53;
/** Bytes of what is compressed as one. */
const LONGEST = 128 << 10;
const KEPT = 16 << 20;

/** The extents of files: where they are, and what is compressed in them. */
export class Extents {
  readonly #data: SummedData;
  readonly #chunks: Chunks;
  readonly #sector: number;
  readonly #frames = new Frames<bigint | Buffer>(LONGEST, KEPT);
  readonly #stored = new Scratch(LONGEST, 2);

  constructor(data: SummedData, chunks: Chunks, sector: number) {
    this.#data = data;
    this.#chunks = chunks;
    this.#sector = sector;
  }

  /** The run of an extent item that begins at `start` of a file. @throws BlockError */
  run(what: string, start: bigint, item: Buffer): Run {
    if (item.length < INLINE_HEAD) throw damaged(what, 'an extent is cut short');
    const kind = item[20]!;
    const compression = item[16]!;
    const codec = COMPRESSIONS[compression];
    if (compression !== 0 && !codec) throw unsupported(what, `compression ${compression}`);
    if (item[17] !== 0 || item.readUInt16LE(18) !== 0) throw unsupported(what, 'encryption');
    if (kind === KIND.inline) return this.#inline(what, start, item, codec);
    if (item.length < HEAD || kind > KIND.preallocated)
      throw damaged(what, `an extent of kind ${kind}`);
    const [address, stored, offset, length] = [21, 29, 37, 45].map(at =>
      item.readBigUInt64LE(at),
    ) as [bigint, bigint, bigint, bigint];
    const run = { start, end: start + length };
    if (length === 0n) throw damaged(what, 'an extent is empty');
    if (address === 0n || kind === KIND.preallocated) return { ...run, allocated: address !== 0n };
    if (codec)
      return { ...run, at: offset, from: this.#compressed(what, { address, stored, codec }, item) };
    // All of it lies on the disk.
    this.#chunks.place(address + offset, Number(length), what);
    return { ...run, at: 0n, from: this.#data.from(what, address + offset) };
  }

  #inline(what: string, start: bigint, item: Buffer, codec: Compression | undefined): Run {
    const length = Number(item.readBigUInt64LE(8));
    const stored = item.subarray(INLINE_HEAD);
    if (length > LONGEST || length === 0)
      throw damaged(what, `an extent of ${length} bytes in its inode`);
    const run = { start, end: start + BigInt(length), at: 0n };
    if (!codec) return { ...run, from: inMemory(what, stored, length) };
    const decode: MakeBlock = memory => this.#decode(what, codec, stored, memory, length);
    return { ...run, from: this.#decoded(what, item, decode, length) };
  }

  #compressed(
    what: string,
    { address, stored, codec }: { address: bigint; stored: bigint; codec: Compression },
    item: Buffer,
  ): Readable {
    const length = Number(item.readBigUInt64LE(8));
    if (length > LONGEST || length === 0 || stored > BigInt(LONGEST) || stored === 0n) {
      throw damaged(what, `${length} bytes are compressed as one`);
    }
    const decode: MakeBlock = (memory, { signal }) =>
      this.#stored.with(Number(stored), async lent => {
        const options = { signal, memory: (count: number) => lent.subarray(0, count) };
        const bytes = await this.#data.read(what, address, lent.length, options);
        return this.#decode(what, codec, contiguous(bytes), memory, length);
      });
    return this.#decoded(what, address, decode, length);
  }

  /** What is decoded as a whole. @param key of extents, their address; of those in inodes, themselves. */
  #decoded(what: string, key: bigint | Buffer, decode: MakeBlock, length: number): Readable {
    return {
      read: (at, wanted, options) => {
        const target = options?.memory?.(wanted) ?? Buffer.allocUnsafe(wanted);
        return andThen(this.#frames.copy(key, Number(at), target, decode, options), copied => {
          if (copied < wanted) throw short(what, length);
          return target;
        });
      },
    };
  }

  /** @returns bytes that are in the memory then. */
  async #decode(
    what: string,
    codec: Compression,
    bytes: Uint8Array,
    memory: Buffer,
    length: number,
  ): Promise<number> {
    const decoded =
      codec === 'lzo'
        ? lzoSegments(what, Buffer.from(bytes), length, this.#sector)
        : await decompress(what, codec, bytes, length, memory);
    if (decoded.buffer !== memory.buffer) memory.set(decoded);
    // What is missing at the end of the last sector is zeroes.
    memory.fill(0, decoded.length, length);
    return length;
  }
}

const short = (what: string, length: number) =>
  damaged(what, `an extent is shorter than the ${length} bytes that it says`);

/** A length, then segments with a length each, whose four bytes lie in one sector. */
function lzoSegments(what: string, bytes: Buffer, length: number, sector: number): Buffer {
  const cut = () => damaged(what, 'what is compressed by lzo is cut short');
  if (bytes.length < 4) throw cut();
  const total = Math.min(bytes.readUInt32LE(0), bytes.length);
  const parts: Buffer[] = [];
  let left = length;
  for (let at = 4; at + 4 <= total && left > 0; ) {
    const room = sector - (at % sector);
    if (room < 4) {
      at += room;
      continue;
    }
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) throw cut();
    const part = decodeLzo(bytes.subarray(at + 4, end), Math.min(sector, left));
    parts.push(part);
    left -= part.length;
    at = end;
  }
  return Buffer.concat(parts);
}

function inMemory(what: string, bytes: Buffer, length: number): Readable {
  return {
    read(at, wanted) {
      if (bytes.length < Math.min(length, Number(at) + wanted)) throw short(what, length);
      return bytes.subarray(Number(at), Number(at) + wanted);
    },
  };
}
