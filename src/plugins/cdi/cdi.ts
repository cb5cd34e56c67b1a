import { closeSync } from 'node:fs';
import type { DeviceSource } from '../../block/device.ts';
import { definePlugin } from '../../declare/declare.ts';
import { fileSource } from '../../http/file-source.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { sharedDescriptor } from '../../stores/file/open.ts';
import { parseImageName } from './image-name.ts';
import type { Layer } from './manifest.ts';
import { Registry } from './registry.ts';
import { unpack } from './unpack.ts';

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
    sslverify: { type: 'boolean', default: 'true', help: "Check the registry's certificate" },
  },
  async create({ name, layer: index, user, password, sslverify: verify }, { debug }) {
    const registry = new Registry(parseImageName(name), { user, password, verify, debug });
    try {
      const layer = await registry.layer(index);
      if (layer.packing === 'gzip') return await unpackedSource(registry, layer);
      const open = async (signal: AbortSignal) => (await registry.blob(layer, signal)).device();
      return { ...fileSource(open), close: () => registry.close() };
    } catch (error) {
      registry.close();
      throw error;
    }
  },
});

/** What is packed cannot be read in parts. */
async function unpackedSource(registry: Registry, layer: Layer): Promise<DeviceSource> {
  const blob = await registry.blob(layer);
  const read = (offset: bigint, length: number) => blob.read(offset, length);
  const fd = await unpack(blob.size, read, layer.digest);
  registry.close();
  const caching = { cache: 'default', fadvise: 'normal' } as const;
  return {
    open: () => fileDevice(sharedDescriptor(fd, true), caching),
    close: () => closeSync(fd),
  };
}
