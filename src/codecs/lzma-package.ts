import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import { BlockError, messageOf } from '../block/errors.ts';
import type { Coding, Decoder } from './coding.ts';
import { streamedDecoder } from './streamed.ts';

/** The part of lzma-native that is used. */
interface LzmaNative {
  createStream(coder: 'streamDecoder' | 'aloneDecoder', options: { memlimit?: number }): Duplex;
}

/** The library that comes with the package lzma-native; undefined where it is not installed. */
export function lzmaPackage({ kind, memory }: Coding): Decoder | undefined {
  const lzma = load();
  if (!lzma) return undefined;
  const coder = kind === 'xz' ? 'streamDecoder' : 'aloneDecoder';
  const limit = memory === undefined ? {} : { memlimit: memory };
  try {
    return streamedDecoder(lzma.createStream(coder, limit), failure);
  } catch (error) {
    throw failure(error);
  }
}

function load(): LzmaNative | undefined {
  try {
    return createRequire(import.meta.url)('lzma-native') as LzmaNative;
  } catch {
    return undefined;
  }
}

function failure(error: unknown): BlockError {
  if (error instanceof BlockError) return error;
  const { name } = error as Error;
  if (name === 'LZMA_MEMLIMIT_ERROR')
    return new BlockError('ENOMEM', 'its dictionary is too large');
  if (name === 'LZMA_BUF_ERROR') return new BlockError('EIO', 'it is cut short');
  return new BlockError('EIO', `it is damaged (${messageOf(error)})`);
}
