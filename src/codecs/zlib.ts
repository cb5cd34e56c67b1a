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
import { type Stepper, steppingDecoder } from './stepping.ts';
import { streamedDecoder } from './streamed.ts';

/** Pieces in which streams give what they have decoded. */
const PIECE = 256 << 10;
/** Most that is decoded at one go. */
const AT_ONCE = 64 << 20;

/** gzip and raw deflate. */
export function zlibDecoder(coding: Coding): Decoder {
  return straight(coding) ?? byNode(coding);
}

/** Straight to where the bytes belong, which is several times as quick for short ones. */
function straight({ kind, dictionary, part }: Coding): Decoder | undefined {
  const inflater = dictionary ? undefined : Inflater.begin(kind === 'gzip' ? 31 : -15);
  if (!inflater) return undefined;
  const stepper: Stepper = {
    step: (input, room) => inflater.inflate(input, room, MORE),
    ...(kind === 'gzip' && { again: () => inflater.reset() }),
    close: () => inflater.close(),
  };
  return steppingDecoder(stepper, part);
}

/** By Node's interface: at one go what is not much. */
function byNode({ kind, dictionary, part }: Coding): Decoder {
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
      streamed ??= streaming(kind, { ...options, chunkSize: PIECE });
      return streamed.decode(input, last, sink);
    },
    close: () => streamed?.close(),
  };
}

function streaming(kind: Coding['kind'], options: ZlibOptions): Decoder {
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
