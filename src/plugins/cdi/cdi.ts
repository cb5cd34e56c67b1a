import type { DeviceSource } from '../../block/device.ts';
import { withRecipeOf } from '../../block/recipe.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { definePlugin } from '../../declare/declare.ts';
import { fileSource } from '../../http/file-source.ts';
import { WEB_PARAMETERS } from '../../http/parameters.ts';
import { parseImageName } from './image-name.ts';
import type { ImageStore, PackedLayer } from './image-store.ts';
import { localImage } from './local-image.ts';
import { Registry } from './registry.ts';
import { unpacked } from './unpack.ts';

export default definePlugin({
  name: 'cdi',
  description: 'a layer of a container image',
  parameters: {
    name: {
      type: 'string',
      required: true,
      bare: true,
      help: '[docker://][HOST/]REPOSITORY[:TAG|@DIGEST], or oci:, oci-archive: or docker-archive:PATH[:TAG]',
    },
    layer: { type: 'integer', minimum: 0, default: '0', help: 'Which layer, from 0 on' },
    user: { type: 'string', help: 'User for the registry' },
    password: { type: 'password', help: 'Password for the registry' },
    sslverify: WEB_PARAMETERS.sslverify,
  },
  async create({ name, layer: index, user, password, sslverify: verify }, { debug }) {
    const store =
      (await localImage(name)) ??
      new Registry(parseImageName(name), { user, password, verify, debug });
    try {
      const layer = await store.layer(index);
      const { packing } = layer;
      if (packing) return await unpackedSource(store, { ...layer, packing }, debug);
      const open = async (signal: AbortSignal) => layer.open(signal);
      return { ...fileSource(open), close: () => store.close() };
    } catch (error) {
      await store.close();
      throw error;
    }
  },
});

/** What is packed cannot be read in parts. */
async function unpackedSource(
  store: ImageStore,
  layer: PackedLayer,
  debug: (message: string) => void,
): Promise<DeviceSource> {
  const device = await unpacked(await layer.open(), layer, debug);
  await store.close();
  const open = () => withRecipeOf(device, wrapDevice(device, { ...PASS, close: () => {} }));
  return { open, close: () => device.close?.() };
}
