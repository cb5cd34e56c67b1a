import { viewsOf } from '../../block/data.ts';
import type { BlockDevice, Data, ReadOptions } from '../../block/device.ts';
import { outward } from '../../block/segments.ts';
import { cipherSpec } from '../../encryption/cipher-spec.ts';
import { sectorCipher } from '../../encryption/sector-cipher.ts';
import type { ImageFile } from '../../images/image-file.ts';
import type { Mapping } from '../../images/run.ts';

const SECTOR = 512;
const KEY_BYTES = 16;

/**
 * What clusters hold that are encrypted in the first way that qcow2 had: AES-128 with the password
 * itself as the key, and sectors numbered by where they are on the disk. It is unsafe, and only read.
 * @param secret is wiped.
 */
export function aesClusters(
  file: ImageFile,
  mapping: Mapping,
  secret: Buffer,
): Pick<BlockDevice, 'read'> {
  const key = Buffer.concat([secret], KEY_BYTES);
  secret.fill(0);
  const cipher = sectorCipher(cipherSpec('aes', 'cbc-plain64'), key, { sector: SECTOR });
  key.fill(0);
  const sectors = async (start: bigint, span: number, options?: ReadOptions): Promise<Buffer> => {
    const run = await mapping.find(start, span);
    const bytes = await file.bytes(run.at!, run.length, { signal: options?.signal });
    cipher.decrypt(bytes, start / BigInt(SECTOR));
    if (run.length === span) return bytes;
    return Buffer.concat([
      bytes,
      await sectors(start + BigInt(run.length), span - run.length, options),
    ]);
  };
  return {
    read: async (offset: bigint, length: number, options?: ReadOptions): Promise<Data> => {
      const { start, span } = outward(offset, length, SECTOR, mapping.size);
      const within = Number(offset - start);
      return viewsOf((await sectors(start, span, options)).subarray(within, within + length));
    },
  };
}
