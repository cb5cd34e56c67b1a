import { createHash } from 'node:crypto';
import { closeSync, writeSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { BlockError, messageOf } from '../../block/errors.ts';
import { namelessFile } from '../../posix/temporary.ts';

/** Bytes of a part that is read at once, and how many are under way. */
const PART = 1 << 20;
const AHEAD = 4;

/** Reads parts of a file. */
type Read = (offset: bigint, length: number) => Promise<Uint8Array>;

/**
 * Unpacks a layer into a temporary file that has no name any more.
 * @returns its descriptor.
 * @throws BlockError EIO the layer is damaged, or another one.
 */
export async function unpack(size: bigint, read: Read, digest: string): Promise<number> {
  const fd = namelessFile();
  const hash = createHash('sha256');
  const packed = Readable.from(partsOf(size, read, bytes => hash.update(bytes)));
  try {
    await pipeline(packed, createGunzip(), async (unpacked: AsyncIterable<Buffer>) => {
      for await (const bytes of unpacked) append(fd, bytes);
    });
    const own = `sha256:${hash.digest('hex')}`;
    if (own !== digest) throw new Error(`its digest is ${own} instead of ${digest}`);
    return fd;
  } catch (error) {
    closeSync(fd);
    if (error instanceof BlockError) throw error;
    throw new BlockError('EIO', `the layer cannot be unpacked: ${messageOf(error)}`);
  }
}

function append(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

/** In order, some of them ahead. */
async function* partsOf(size: bigint, read: Read, seen: (bytes: Uint8Array) => void) {
  const under: Promise<Uint8Array>[] = [];
  for (let at = 0n; at < size || under.length > 0; ) {
    while (at < size && under.length < AHEAD) {
      const length = size - at < BigInt(PART) ? Number(size - at) : PART;
      const part = read(at, length);
      part.catch(() => {});
      under.push(part);
      at += BigInt(length);
    }
    const bytes = await under.shift()!;
    seen(bytes);
    yield bytes;
  }
}
