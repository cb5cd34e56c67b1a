import type { BlockDevice, Memory } from '../../block/device.ts';
import { verifyWrite } from '../../block/verify.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { patternMaker, TILE } from './fill.ts';

export default definePlugin({
  name: 'pattern',
  description: 'a disk on which every 8 bytes hold their own offset; checks what is written',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
  },
  create({ size }) {
    return sourceOf(() => patternDevice(size));
  },
  remake: patternDevice,
});

function patternDevice(size: bigint): BlockDevice {
  return {
    size,
    recipe: { from: size },
    multiConn: true,
    opaque: true,
    read: (offset, length, options) => pattern(offset, length, options?.memory),
    write: (offset, data) => verifyWrite(offset, data, pattern(offset, data.length)),
    cache: () => {},
  };
}

let maker: ReturnType<typeof patternMaker> | undefined;

/** The bytes at `offset`: each 8, from a multiple of 8 on, are that multiple, big-endian. */
function pattern(offset: bigint, length: number, memory?: Memory): Uint8Array {
  maker ??= patternMaker();
  const bytes = memory?.(length) ?? Buffer.allocUnsafeSlow(length);
  for (let at = 0; at < length; at += TILE) {
    bytes.set(maker(offset + BigInt(at), Math.min(TILE, length - at)), at);
  }
  return bytes;
}
