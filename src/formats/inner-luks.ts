import { alignedDevice } from '../block/aligned.ts';
import { MAX_SIZE } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { sliceDevice } from '../block/slice.ts';
import { transformDevice } from '../block/transform.ts';
import { sectorCipher } from '../encryption/sector-cipher.ts';
import type { ImageFile } from '../images/image-file.ts';
import type { Bytes } from '../images/mapped-device.ts';
import { openVolume } from './luks/device.ts';

export { bytesBeforeData, type CreateOptions, createLuks } from './luks/create.ts';
export { INNER_CIPHER_OPTIONS, innerCipherOf } from './luks/options.ts';

const SECTOR = 512;

/**
 * The clusters of a file in the clear, of which a LUKS header inside it has the key. Sectors are
 * numbered by where they are in the file that has them.
 * @param secret is wiped. @param sealed the file with the clusters, if it is another. @throws BlockError EACCES it opens nothing; EINVAL, ENOTSUP the header
 */
export async function innerLuks(
  file: ImageFile,
  header: { readonly offset: number; readonly length: number },
  secret: Buffer,
  sealed = file,
): Promise<{ data: Bytes; close(): void }> {
  if (BigInt(header.offset + header.length) > file.device.size) {
    throw new BlockError('EIO', 'the header of LUKS lies beyond the file');
  }
  const place = sliceDevice(file.device, BigInt(header.offset), BigInt(header.length));
  const { payload, key } = await openVolume(place, { header: place, passphrase: secret });
  secret.fill(0);
  const own = Buffer.from(key);
  key.fill(0);
  const cipher = sectorCipher(payload.cipher, own, { sector: SECTOR });
  own.fill(0);
  const number = (at: bigint) => at / BigInt(SECTOR);
  const sectors = {
    size: MAX_SIZE,
    blockSize: { minimum: SECTOR, preferred: 4096, maximum: 2 ** 31 },
    read: sealed.read.bind(sealed),
    write: sealed.write.bind(sealed),
  };
  const clear = transformDevice(sectors, {
    read: (at, bytes) => cipher.decrypt(bytes, number(at)),
    write: (at, bytes) => cipher.encrypt(bytes, number(at)),
    changesZeroes: true,
  });
  return { data: alignedDevice(clear), close: () => cipher.close() };
}
