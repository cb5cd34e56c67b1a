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
 * numbered by where they are in the file.
 * @param secret is wiped. @throws BlockError EACCES it opens nothing; EINVAL, ENOTSUP the header
 */
export async function innerLuks(
  file: ImageFile,
  header: { readonly offset: number; readonly length: number },
  secret: Buffer,
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
  const sealed = {
    size: MAX_SIZE,
    blockSize: { minimum: SECTOR, preferred: 4096, maximum: 2 ** 31 },
    read: file.read.bind(file),
    write: file.write.bind(file),
  };
  const clear = transformDevice(sealed, {
    read: (at, bytes) => cipher.decrypt(bytes, number(at)),
    write: (at, bytes) => cipher.encrypt(bytes, number(at)),
    changesZeroes: true,
  });
  return { data: alignedDevice(clear), close: () => cipher.close() };
}
