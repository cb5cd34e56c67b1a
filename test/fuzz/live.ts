import { PassThrough } from 'node:stream';
import type { BlockDevice } from '../../src/block/device.ts';
import { Server } from '../../src/server/server.ts';
import { sparseStore } from '../../src/stores/sparse.ts';
import type { Random } from '../../src/testing/model.ts';
import { StreamTransport } from '../../src/transport/stream.ts';

export const SIZE = 1 << 20;

/** A server of one small disk with contexts of its own; now and then it is slow. */
export function smallServer(random: Random): Server {
  const { writeBuffer, ...disk } = sparseStore(BigInt(SIZE));
  const device: BlockDevice = {
    ...disk,
    ...(writeBuffer && random.below(2) ? { writeBuffer } : {}),
    contexts: [{ name: 'x:y', status: (_offset, length) => [{ length, flags: 5 }] }],
    description: 'a small disk',
  };
  const { read } = disk;
  const slow = random.below(2) === 1;
  const later = async (offset: bigint, length: number) => {
    await new Promise(setImmediate);
    return read(offset, length);
  };
  const source = { open: () => (slow ? { ...device, read: later } : device) };
  return new Server({ source, threads: 1 + random.below(16) });
}

export interface Line {
  readonly transport: StreamTransport;
  /** What the transport reads, and what it says. */
  readonly to: PassThrough;
  readonly from: PassThrough;
}

/** A transport over streams in memory, and their other ends. */
export function line(): Line {
  const to = new PassThrough();
  const from = new PassThrough();
  return { transport: new StreamTransport(to, from), to, from };
}
