import type { DeviceSource } from '../../block/device.ts';
import { withRecipeOf } from '../../block/recipe.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { definePlugin } from '../../declare/declare.ts';
import { fileSource } from '../../http/file-source.ts';
import { WEB_PARAMETERS } from '../../http/parameters.ts';
import { parseImageName } from './image-name.ts';
import type { PackedLayer } from './manifest.ts';
import { Registry } from './registry.ts';
import { unpacked } from './unpack.ts';

export default definePlugin({
  name: 'cdi',
  description: 'a layer of a container image in a registry',
  parameters: {
    name: {
      type: 'string',
      required: true,
      bare: true,
      help: '[docker://][HOST/]REPOSITORY[:TAG|@DIGEST]',
    },
    layer: { type: 'integer', minimum: 0, default: '0', help: 'Which layer, from 0 on' },
    user: { type: 'string', help: 'User for the registry' },
    password: { type: 'password', help: 'Password for the registry' },
    sslverify: WEB_PARAMETERS.sslverify,
  },
  async create({ name, layer: index, user, password, sslverify: verify }, { debug }) {
    const registry = new Registry(parseImageName(name), { user, password, verify, debug });
    try {
      const layer = await registry.layer(index);
      const { digest, packing } = layer;
      if (packing) return await unpackedSource(registry, { digest, packing }, debug);
      const open = async (signal: AbortSignal) => (await registry.blob(layer, signal)).device();
      return { ...fileSource(open), close: () => registry.close() };
    } catch (error) {
      registry.close();
      throw error;
    }
  },
});

/** What is packed cannot be read in parts. */
async function unpackedSource(
  registry: Registry,
  layer: PackedLayer,
  debug: (message: string) => void,
): Promise<DeviceSource> {
  const device = await unpacked((await registry.blob(layer)).device(), layer, debug);
  registry.close();
  const open = () => withRecipeOf(device, wrapDevice(device, { ...PASS, close: () => {} }));
  return { open, close: () => device.close?.() };
}
