import type { Transform } from 'node:stream';
import {
  constants,
  createGunzip,
  createInflateRaw,
  gunzipSync,
  inflateRawSync,
  type ZlibOptions,
} from 'node:zlib';
import { BlockError, messageOf } from '../block/errors.ts';
import { type Coding, type Decoder, putInto, type Sink } from './coding.ts';
import { Inflater, MORE } from './inflater.ts';
import { steppingDecoder } from './stepping.ts';

/** Pieces in which streams give what they have decoded. */
const PIECE = 256 << 10;
/** Most that is decoded at one go. */
const AT_ONCE = 64 << 20;

/** gzip and raw deflate: what is small at one go by Node's own zlib, which is quicker than others. */
export function zlibDecoder(coding: Coding): Decoder {
  const { kind, dictionary, part } = coding;
  const finishFlush = part ? constants.Z_SYNC_FLUSH : constants.Z_FINISH;
  const options = { dictionary, finishFlush };
  let streamed: Decoder | undefined;
  return {
    decode(input, last, sink) {
      if (!streamed && last && sink.most <= AT_ONCE) {
        const unpack = kind === 'gzip' ? gunzipSync : inflateRawSync;
        const bytes = attempt(() => unpack(input, { ...options, maxOutputLength: sink.most + 1 }));
        return putInto(sink, bytes);
      }
      streamed ??= bySystem(coding) ?? byNode(kind, { ...options, chunkSize: PIECE });
      return streamed.decode(input, last, sink);
    },
    close: () => streamed?.close(),
  };
}

/** Straight to where the bytes belong. */
function bySystem({ kind, dictionary, part }: Coding): Decoder | undefined {
  if (dictionary || part) return undefined;
  const inflater = Inflater.begin(kind === 'gzip' ? 31 : -15);
  if (!inflater) return undefined;
  let isLater = false;
  return steppingDecoder({
    step(input, room) {
      // Zeroes after a gzip member are padding.
      if (isLater && input[0] === 0) return { read: input.length, written: 0, ended: true };
      const step = inflater.inflate(input, room, MORE);
      isLater = false;
      return step;
    },
    ...(kind === 'gzip' && {
      again() {
        isLater = true;
        inflater.reset();
      },
    }),
    close: () => inflater.close(),
  });
}

function byNode(kind: Coding['kind'], options: ZlibOptions): Decoder {
  const stream = new Streamed(kind === 'gzip' ? createGunzip(options) : createInflateRaw(options));
  return {
    decode: (input, last, sink) => stream.decode(input, last, sink),
    close: () => stream.close(),
  };
}

/** A stream of Node's that is fed piece by piece. */
class Streamed {
  readonly #stream: Transform;
  #sink: Sink | undefined;
  #over = false;

  constructor(stream: Transform) {
    this.#stream = stream;
    stream.on('data', (bytes: Uint8Array) => {
      try {
        putInto(this.#sink!, bytes);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
  }

  async decode(input: Uint8Array, last: boolean, sink: Sink): Promise<void> {
    const stream = this.#stream;
    this.#sink = sink;
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
