import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { verifyWrite } from '../../block/verify.ts';
import { keystream, seedKey } from '../../content/keystream.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';

export default definePlugin({
  name: 'random',
  description: 'a disk of reproducible random bytes; checks what is written',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
    seed: { type: 'string', help: 'Number that the bytes follow from (default: a new one)' },
  },
  create({ size, seed }) {
    const disk = { size, key: seedKey('random', seed) };
    return sourceOf(() => randomDevice(disk));
  },
  remake: randomDevice,
});

interface Disk {
  readonly size: bigint;
  readonly key: Uint8Array;
}

function randomDevice(disk: Disk): BlockDevice {
  const { size, key } = disk;
  const read = (offset: bigint, length: number) => keystream(key, offset, length);
  return {
    size,
    recipe: { from: disk },
    multiConn: true,
    opaque: true,
    read,
    write: (offset, data) => verifyWrite(offset, data, read(offset, data.length)),
    trim: refuse,
    zero: refuse,
    cache: () => {},
  };
}

function refuse(offset: bigint): never {
  throw new BlockError('EIO', `attempt to trim or zero random data at offset ${offset}`, {
    offset,
  });
}
