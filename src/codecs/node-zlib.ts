import type { Transform } from 'node:stream';
import { constants, createGunzip, createInflateRaw, gunzipSync, inflateRawSync } from 'node:zlib';
import { BlockError, messageOf } from '../block/errors.ts';
import { type Coding, type Decoder, putInto, type Sink } from './coding.ts';

/** Pieces in which streams give what they have decoded. */
const PIECE = 256 << 10;

/** gzip and raw deflate by Node's own zlib, which is quicker than the system's. */
export function zlibDecoder({ kind, dictionary, part }: Coding): Decoder {
  const finishFlush = part ? constants.Z_SYNC_FLUSH : constants.Z_FINISH;
  const options = { dictionary, finishFlush };
  let streamed: Streamed | undefined;
  return {
    decode(input, last, sink) {
      if (!streamed && last && sink.most < Number.MAX_SAFE_INTEGER) {
        const unpack = kind === 'gzip' ? gunzipSync : inflateRawSync;
        const bytes = attempt(() => unpack(input, { ...options, maxOutputLength: sink.most + 1 }));
        return putInto(sink, bytes);
      }
      const create = kind === 'gzip' ? createGunzip : createInflateRaw;
      streamed ??= new Streamed(create({ ...options, chunkSize: PIECE }), sink);
      return streamed.decode(input, last);
    },
    close: () => streamed?.close(),
  };
}

/** A stream of Node's that is fed piece by piece. */
class Streamed {
  readonly #stream: Transform;
  #over = false;

  constructor(stream: Transform, sink: Sink) {
    this.#stream = stream;
    stream.on('data', (bytes: Uint8Array) => {
      try {
        putInto(sink, bytes);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
  }

  async decode(input: Uint8Array, last: boolean): Promise<void> {
    const stream = this.#stream;
    // Bytes after the end of the last gzip member end the stream, and nobody tells who has given them.
    if (this.#over) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => {
        stream.off('end', ended).off('error', failed);
        act();
      };
      const ended = () => {
        this.#over = true;
        settle(resolve);
      };
      const failed = (error: Error) => settle(() => reject(damaged(error)));
      stream.on('end', ended).on('error', failed);
      if (last) stream.end(input);
      else stream.write(input, error => error ?? settle(resolve));
    });
  }

  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.destroy();
  }
}

function attempt<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw damaged(error);
  }
}

function damaged(error: unknown): BlockError {
  if (error instanceof BlockError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return new BlockError('EIO', 'it is cut short');
  if (code === 'ERR_BUFFER_TOO_LARGE')
    return new BlockError('EIO', 'more comes of it than it says');
  return new BlockError('EIO', `it is damaged (${messageOf(error)})`);
}
