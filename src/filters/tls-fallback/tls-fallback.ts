import type { BlockDevice, DeviceSource } from '../../block/device.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter } from '../../declare/declare.ts';

const SIZE = 512;

export default defineFilter({
  name: 'tls-fallback',
  description: 'serves clients without TLS nothing but a message',
  parameters: {
    tlsreadme: {
      type: 'string',
      default: 'This NBD server requires TLS authentication before it will serve useful data.\n',
      help: 'The message, of at most 512 bytes',
    },
  },
  create({ tlsreadme }, source): DeviceSource {
    const bytes = Buffer.alloc(SIZE);
    bytes.write(tlsreadme);
    const message: BlockDevice = {
      size: BigInt(SIZE),
      read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
    };
    // Not even what takes time below is to be had without TLS.
    return passSource(source, {
      open: request => (request.tls ? source.open(request) : message),
      list: request => (request.tls ? source.list?.(request) : undefined),
      defaultExport: request => (request.tls ? (source.defaultExport?.(request) ?? '') : ''),
    });
  },
});
