#!/usr/bin/env -S nbdkit
// A disk in memory that all clients share: nbdkit ./examples/ram-disk.ts 64M
import { definePlugin, sourceOf } from 'nbdpipe/plugin';

export default definePlugin({
  name: 'ram-disk',
  description: 'a disk in memory',
  parameters: {
    size: { type: 'size', default: '64M', maximum: 2 ** 31, bare: true, help: 'Size of the disk' },
  },
  create: ({ size }) => {
    const bytes = Buffer.alloc(Number(size));
    return sourceOf(() => ({
      size,
      multiConn: true,
      read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
      write: (offset, data) => bytes.set(data, Number(offset)),
      flush: () => {},
    }));
  },
});
