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
 * @param most as many may come of it. @throws BlockError that begins with `what`.
 */
export async function decompress(
  what: string,
  kind: Compression,
  input: Uint8Array,
  most: number,
): Promise<Buffer> {
  try {
    if (kind === 'zlib') return inflateSync(input, { maxOutputLength: most });
    if (kind === 'lz4') return decodeLz4(input, most);
    if (kind === 'lzo') return decodeLzo(input, most);
    return await decoded(kind, input, most);
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
  most: number,
): Promise<Buffer> {
  const sink = new BlockSink(most);
  const decoder = decoderOf({ kind, memory: 256 << 20 });
  try {
    await decoder.decode(input, true, sink);
  } finally {
    decoder.close();
  }
  return sink.bytes();
}

class BlockSink implements Sink {
  readonly most: number;
  readonly #memory: Buffer;
  #done = 0;

  constructor(most: number) {
    this.most = most;
    // A byte too many has to be seen.
    this.#memory = Buffer.allocUnsafeSlow(most + 1);
  }

  room(): Uint8Array {
    return this.#memory.subarray(this.#done);
  }

  filled(length: number): void {
    this.#done += length;
    if (this.#done > this.most) throw new BlockError('EIO', 'more comes of it than it may');
  }

  bytes(): Buffer {
    return this.#memory.subarray(0, this.#done);
  }
}
