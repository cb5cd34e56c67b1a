import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { BlockError } from '../block/errors.ts';
import { Turns } from '../block/turns.ts';
import { packInThread } from '../posix/zstd.ts';

const deflate = promisify(deflateRaw);
/** The pool's threads have a queue of their own, which is not endless. */
const turns = new Turns(2 * availableParallelism());
/** What qemu can read: its decoder has a window of 4 KiB. */
const DEFLATE = { windowBits: 12, memLevel: 9, level: 6 };
const ZSTD_LEVEL = 3;

/**
 * Compresses a block in another thread: raw deflate with a window of 4 KiB, or a frame of zstd.
 * @throws BlockError ENOTSUP there is no zstd; ENOMEM.
 */
export async function packed(kind: 'zlib' | 'zstd', bytes: Uint8Array): Promise<Uint8Array> {
  if (kind === 'zlib') return turns.run(() => deflate(bytes, DEFLATE));
  const pack = packInThread();
  if (pack) return turns.run(() => pack(bytes, ZSTD_LEVEL));
  throw new BlockError('ENOTSUP', 'zstd needs libzstd, or Node 22.15, which is not there');
}
