import { alignedDevice } from '../../block/aligned.ts';
import { afterClose } from '../../block/close-all.ts';
import type { BlockDevice } from '../../block/device.ts';
import { type Maker, recipeOver } from '../../block/recipe.ts';
import { extentsInBlocks } from '../../block/runs-in-blocks.ts';
import { sliceDevice } from '../../block/slice.ts';
import { ThreadedLock } from '../../block/threaded-lock.ts';
import { transformDevice } from '../../block/transform.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { sectorCipher } from '../../encryption/sector-cipher.ts';
import { corrupt, LUKS_SECTOR, type Payload } from './header.ts';
import { readHeader } from './read.ts';
import { type UnlockOptions, unlock } from './unlock.ts';

/** What it takes to decrypt a volume, in any thread. */
export interface Volume {
  readonly payload: Payload;
  /** In memory that threads share: whoever opened the volume wipes it for all of them. */
  readonly key: Uint8Array;
  /** Of the locks on parts of sectors. */
  readonly words: Int32Array<SharedArrayBuffer>;
}

export interface OpenOptions extends UnlockOptions {
  /** Where the header is when it is not on the device itself. */
  readonly header?: BlockDevice | undefined;
}

/**
 * Opens a volume of either version by a passphrase.
 * @throws BlockError EINVAL for a damaged header, ENOTSUP for what is not supported, EACCES for a
 * passphrase that opens nothing.
 */
export async function openVolume(device: BlockDevice, options: OpenOptions): Promise<Volume> {
  const { header: apart, signal } = options;
  const place = alignedDevice(apart ?? device);
  const { header } = await readHeader(place, { detached: apart !== undefined, signal });
  const { key: opened } = await unlock(place, header, options);
  const key = new Uint8Array(new SharedArrayBuffer(opened.length));
  key.set(opened);
  opened.fill(0);
  return { payload: header.payload, key, words: new ThreadedLock().words };
}

/**
 * What a volume on a device holds, in the clear.
 * @throws BlockError EINVAL when the device is shorter than the volume.
 */
export function luksDevice(below: BlockDevice, volume: Volume): BlockDevice {
  const { cipher: spec, offset, size: told, sector, first, step } = volume.payload;
  const room = below.size - offset;
  const size = told ?? room - (room % BigInt(sector));
  if (room < 0n || size > room) {
    const end = room < 0n ? `begins at byte ${offset}` : `ends at byte ${offset + size}`;
    throw corrupt(`the data ${end}, and the disk has ${below.size}`);
  }
  // OpenSSL takes no memory that is shared.
  const key = Buffer.from(volume.key);
  const cipher = sectorCipher(spec, key, { sector, step });
  key.fill(0);
  const number = (at: bigint) => first + at / BigInt(LUKS_SECTOR);
  const locks = new ThreadedLock(volume.words);
  const clear = transformDevice(sliceDevice(below, offset, size, { locks }), {
    read: (at, bytes) => cipher.decrypt(bytes, number(at)),
    write: (at, bytes) => cipher.encrypt(bytes, number(at)),
    changesZeroes: true,
  });
  const own = clear.blockSize ?? { minimum: 1, preferred: 4096, maximum: 2 ** 32 - sector };
  const blockSize = { ...own, minimum: Math.max(own.minimum, sector), advisory: false };
  const extents = extentsInBlocks(clear, blockSize.minimum);
  const inSectors = wrapDevice(clear, { ...PASS, blockSize, extents });
  const device = afterClose(alignedDevice(inSectors, { locks }), () => cipher.close());
  const get = () => recipeOver('luks', volume, below);
  return Object.defineProperty(device, 'recipe', { get, enumerable: true, configurable: true });
}

/** Makes the same again in another thread. */
export const remakeLuks: Maker = (volume: Volume, [below]) => luksDevice(below!, volume);
