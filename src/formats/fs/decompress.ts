import { inflateSync } from 'node:zlib';
import { BlockError, messageOf } from '../../block/errors.ts';
import type { Sink } from '../../codecs/coding.ts';
import { decoderOf } from '../../codecs/decoders.ts';
import { decodeLz4 } from '../../codecs/lz4.ts';
import { decodeLzo } from '../../codecs/lzo.ts';

/** How file systems compress the blocks of their files. */
export type Compression = 'zlib' | 'lzma' | 'xz' | 'zstd' | 'lz4' | 'lzo';

/**
 * The bytes that a block was made of.
 * @param most as many may come of it. @param memory for so many, where they may be put.
 * @throws BlockError that begins with `what`.
 */
export async function decompress(
  what: string,
  kind: Compression,
  input: Uint8Array,
  most: number,
  memory: Buffer = Buffer.allocUnsafeSlow(most),
): Promise<Buffer> {
  try {
    if (kind === 'zlib') return inflateSync(input, { maxOutputLength: most });
    if (kind === 'lz4') return decodeLz4(input, most);
    if (kind === 'lzo') return decodeLzo(input, most);
    return await decoded(kind, input, memory.subarray(0, most));
  } catch (error) {
    const errno = error instanceof BlockError ? error.errno : 'EIO';
    throw new BlockError(errno, `${what}: compressed by ${kind}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function decoded(
  kind: 'lzma' | 'xz' | 'zstd',
  input: Uint8Array,
  memory: Buffer,
): Promise<Buffer> {
  const sink = new BlockSink(memory);
  const decoder = decoderOf({ kind, memory: 256 << 20 });
  try {
    await decoder.decode(input, true, sink);
  } finally {
    decoder.close();
  }
  return sink.bytes();
}

/** A byte too many has to be seen. */
const TOO_MANY = Buffer.alloc(1);

class BlockSink implements Sink {
  readonly most: number;
  readonly #memory: Buffer;
  #done = 0;

  constructor(memory: Buffer) {
    this.#memory = memory;
    this.most = memory.length;
  }

  room(): Uint8Array {
    return this.#done < this.most ? this.#memory.subarray(this.#done) : TOO_MANY;
  }

  filled(length: number): void {
    this.#done += length;
    if (this.#done > this.most) throw new BlockError('EIO', 'more comes of it than it may');
  }

  bytes(): Buffer {
    return this.#memory.subarray(0, this.#done);
  }
}
