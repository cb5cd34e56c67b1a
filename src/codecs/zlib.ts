import type { Duplex } from 'node:stream';
import {
  constants,
  createGunzip,
  createInflateRaw,
  gunzipSync,
  inflateRawSync,
  type ZlibOptions,
} from 'node:zlib';
import { BlockError, messageOf } from '../block/errors.ts';
import { type Coding, type Decoder, putInto } from './coding.ts';
import { Inflater, MORE } from './inflater.ts';
import { steppingDecoder } from './stepping.ts';
import { streamedDecoder } from './streamed.ts';

/** Pieces in which streams give what they have decoded. */
const PIECE = 256 << 10;
/** Most that is decoded at one go. */
const AT_ONCE = 64 << 20;

/**
 * gzip and raw deflate: what is small at one go by Node's own zlib, which is quicker than others.
 */
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
  return steppingDecoder({
    step: (input, room) => inflater.inflate(input, room, MORE),
    ...(kind === 'gzip' && { again: () => inflater.reset() }),
    close: () => inflater.close(),
  });
}

function byNode(kind: Coding['kind'], options: ZlibOptions): Decoder {
  return streamedDecoder(
    kind === 'gzip' ? createGunzip(options) : createInflateRaw(options),
    damaged,
  );
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

/** Zstandard by Node's own library; undefined in releases without it. */
export function nodeZstd(): Decoder | undefined {
  const { createZstdDecompress } = process.getBuiltinModule('node:zlib') as NodeZstd;
  return createZstdDecompress && streamedDecoder(createZstdDecompress(), damaged);
}

interface NodeZstd {
  createZstdDecompress?(): Duplex;
}
