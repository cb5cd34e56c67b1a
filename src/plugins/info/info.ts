import type { BlockDevice, OpenRequest, Peer } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { NBDKIT_RELEASE } from '../../declare/release.ts';

const MODES = [
  'exportname',
  'base64exportname',
  'address',
  'time',
  'uptime',
  'conntime',
  'version',
] as const;

export default definePlugin({
  name: 'info',
  description: 'tells the client about itself and the server',
  parameters: {
    mode: {
      type: 'string',
      bare: true,
      choices: MODES,
      default: 'exportname',
      help: 'What the disk holds',
    },
  },
  facts: () => ({ info_address: 'yes', info_base64: 'yes' }),
  create({ mode }) {
    const started = now();
    return sourceOf(request => OPEN[mode](request, started));
  },
});

type Open = (request: OpenRequest, started: bigint) => BlockDevice;

const OPEN: Readonly<Record<(typeof MODES)[number], Open>> = {
  exportname: ({ exportName }) => bytesDevice(Buffer.from(exportName)),
  base64exportname: ({ exportName }) => bytesDevice(decodeBase64(exportName)),
  // Another connection has another address.
  address: ({ peer }) => ({ ...bytesDevice(Buffer.from(addressOf(peer))), multiConn: false }),
  time: () => clockDevice(() => BigInt(Date.now()) * 1000n),
  uptime: (_request, started) => clockDevice(() => now() - started),
  conntime: () => {
    const opened = now();
    return clockDevice(() => now() - opened);
  },
  version: () => bytesDevice(Buffer.from(NBDKIT_RELEASE)),
};

function bytesDevice(bytes: Buffer): BlockDevice {
  return {
    size: BigInt(bytes.length),
    multiConn: true,
    read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
    cache: () => {},
  };
}

/** Microseconds of a clock that only goes forwards. */
function now(): bigint {
  return process.hrtime.bigint() / 1000n;
}

/** Seconds and microseconds, big-endian, as they are when they are read. */
function clockDevice(microseconds: () => bigint): BlockDevice {
  return {
    size: 12n,
    read: (offset, length) => {
      const bytes = Buffer.alloc(12);
      const time = microseconds();
      bytes.writeBigUInt64BE(time / 1_000_000n);
      bytes.writeUInt32BE(Number(time % 1_000_000n), 8);
      return bytes.subarray(Number(offset), Number(offset) + length);
    },
    cache: () => {},
  };
}

/** The path of a Unix socket would tell about the server's host. */
function addressOf({ family, address, port }: Peer): string {
  if (family === 'ipv6') return `[${address}]:${port}`;
  if (family === 'ipv4') return `${address}:${port}`;
  return family === 'vsock' ? `vsock:${address}:${port}` : family;
}

/** @throws BlockError ENOENT for anything but whole groups of base64, with or without space. */
function decodeBase64(exportName: string): Buffer {
  const text = exportName.replace(/\s/g, '');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') === text) return bytes;
  throw new BlockError(
    'ENOENT',
    'the export name is not base64: expected groups of 4, such as YQ==',
  );
}
