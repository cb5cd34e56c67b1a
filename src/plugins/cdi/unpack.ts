import { createHash } from 'node:crypto';
import { discard } from '../../block/close-all.ts';
import { viewsOf } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { decodedWhole } from '../../codecs/decoded.ts';
import type { PackedLayer } from './image-store.ts';

/**
 * What a layer holds, unpacked into a temporary file.
 * @param packed is closed with it.
 * @throws BlockError EIO the layer is damaged, or another one.
 */
export async function unpacked(
  packed: BlockDevice,
  { digest, packing }: PackedLayer,
  debug: (message: string) => void,
): Promise<BlockDevice> {
  const hash = createHash('sha256');
  let seen = 0n;
  // It is decoded from its beginning to its end, of which each byte is read once.
  const watched = wrapDevice(packed, {
    ...PASS,
    read: async (offset, length, options) => {
      const data = await packed.read(offset, length, options);
      if (offset !== seen) throw new BlockError('EIO', 'it was not read in order');
      for (const view of viewsOf(data)) hash.update(view);
      seen += BigInt(length);
      return data;
    },
  });
  let device: BlockDevice;
  try {
    device = await decodedWhole(watched, { kind: packing }, { format: packing, debug });
  } catch (error) {
    const words = `the layer cannot be unpacked: ${messageOf(error)}`;
    throw new BlockError(errnoOf(error), words, { cause: error });
  }
  const own = `sha256:${hash.digest('hex')}`;
  if (digest === undefined || own === digest) return device;
  await discard(device);
  throw new BlockError('EIO', `the layer is not ${digest} but ${own}: it was changed`);
}
