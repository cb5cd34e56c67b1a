import { alignedDevice } from '../block/aligned.ts';
import { type BlockDevice, MAX_SIZE } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { sliceDevice } from '../block/slice.ts';
import { transformDevice } from '../block/transform.ts';
import type { RawParameter } from '../declare/parameters.ts';
import { sectorCipher } from '../encryption/sector-cipher.ts';
import type { Amending } from '../images/image.ts';
import type { ImageFile } from '../images/image-file.ts';
import type { Bytes } from '../images/mapped-device.ts';
import { AMEND_OPTIONS, amendLuks } from './luks/amend.ts';
import { openVolume } from './luks/device.ts';

export { bytesBeforeData, type CreateOptions, createLuks } from './luks/create.ts';
export { INNER_CIPHER_OPTIONS, innerCipherOf } from './luks/options.ts';

/** Before the options of what is inside an image. */
const PREFIX = 'encrypt.';

/** What can be changed of the passphrases. */
export const INNER_AMEND_OPTIONS = Object.fromEntries(
  Object.entries(AMEND_OPTIONS).map(([key, option]) => [
    PREFIX + key,
    { ...option, required: false },
  ]),
);

const SECTOR = 512;

/** Where a header is in a file, in bytes. */
interface Place {
  readonly offset: number;
  readonly length: number;
}

function placeOf({ device }: ImageFile, { offset, length }: Place): BlockDevice {
  if (BigInt(offset + length) <= device.size) {
    return sliceDevice(device, BigInt(offset), BigInt(length));
  }
  throw new BlockError('EIO', 'the header of LUKS lies beyond the file');
}

/**
 * The clusters of a file in the clear, of which a LUKS header inside it has the key. Sectors are
 * numbered by where they are in the file that has them.
 * @param secret is wiped. @param sealed the file with the clusters, if it is another. @throws BlockError EACCES it opens nothing; EINVAL, ENOTSUP the header
 */
export async function innerLuks(
  file: ImageFile,
  header: Place,
  secret: Buffer,
  sealed = file,
): Promise<{ data: Bytes; close(): void }> {
  const place = placeOf(file, header);
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

/** Changes passphrases. @param passphrase one that opens it, which is wiped. @throws as `amendLuks` */
export async function amendInnerLuks(
  file: ImageFile,
  header: Place,
  passphrase: Buffer,
  words: readonly RawParameter[],
  amending: Amending,
): Promise<void> {
  const inner = words.map(word => ({ ...word, key: word.key?.replace(PREFIX, '') }));
  await amendLuks(placeOf(file, header), passphrase, inner, amending);
  passphrase.fill(0);
}
