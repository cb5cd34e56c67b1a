// A plugin in ten lines: nbdkit ./examples/stripes.ts size=1M
import { definePlugin, sourceOf } from 'nbdpipe/plugin';

export default definePlugin({
  name: 'stripes',
  description: 'every other sector is filled with a byte',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
    byte: { type: 'integer', default: '0xff', maximum: 255, help: 'What the stripes consist of' },
  },
  create: ({ size, byte }) =>
    sourceOf(() => ({
      size,
      read(offset, length) {
        const bytes = Buffer.alloc(length);
        for (let at = -Number(offset % 1024n); at < length; at += 1024) {
          bytes.fill(byte, Math.max(at, 0), Math.min(Math.max(at + 512, 0), length));
        }
        return bytes;
      },
    })),
});
