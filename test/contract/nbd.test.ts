import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { BlockDevice, DeviceSource } from '../../src/block/device.ts';
import { connect, goOrClose, negotiate } from '../../src/client/connect.ts';
import { Negotiation, type NegotiationOptions } from '../../src/client/negotiation.ts';
import { Server } from '../../src/server/server.ts';
import { StreamTransport } from '../../src/transport/stream.ts';
import { deviceContract, type Writes } from './contract.ts';
import { pluginSource } from './open.ts';

/** The forms of requests and replies; where memory cannot be shared, the last is the third again. */
const FORMS: Readonly<Record<string, NegotiationOptions>> = {
  simple: { structuredReplies: false },
  structured: { extendedHeaders: false },
  extended: {},
  'shared memory': { sharedMemory: true },
};

/** A client of a server of the source; when it is closed, so is the server. */
async function overUnix(source: DeviceSource, options: NegotiationOptions): Promise<BlockDevice> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdpipe-contract-'));
  const path = join(folder, 'socket');
  const server = new Server({ source });
  await server.listen({ path });
  const client = await connect(`nbd+unix:///?socket=${path}`, options);
  return closing(client, async () => {
    await server.close();
    await source.close?.();
    await rm(folder, { recursive: true });
  });
}

async function overTcp(source: DeviceSource, options: NegotiationOptions): Promise<BlockDevice> {
  const server = new Server({ source });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  const port = typeof address === 'object' ? address!.port : 0;
  const client = await goOrClose(await negotiate({ host: 'localhost', port }, options), '');
  return closing(client, () => server.close());
}

/** As `nbdkit -s` and a client that runs it. */
async function overPipes(source: DeviceSource, options: NegotiationOptions): Promise<BlockDevice> {
  const there = new PassThrough();
  const back = new PassThrough();
  const server = new Server({ source });
  const served = server.serve(new StreamTransport(there, back));
  const negotiation = await Negotiation.begin(new StreamTransport(back, there), options);
  return closing(await negotiation.go(''), () => served);
}

function closing(
  client: BlockDevice & { close(): Promise<void> },
  then: () => Promise<void>,
): BlockDevice {
  const disconnect = client.close.bind(client);
  client.close = async () => {
    await disconnect();
    await then();
  };
  return client;
}

const PLUGINS: readonly (readonly [words: string, writes: Writes])[] = [
  ['memory 1000001', 'kept'],
  ['memory 0', 'kept'],
  ['memory 9223372036854775807', 'kept'],
  ['null 7E', 'forgotten'],
  ['zero', 'none'],
  ['ones 1000003', 'none'],
  ['pattern 9223372036854775807', 'checked'],
  ['full 7E', 'ENOSPC'],
  ['sparse-random 7E seed=1 percent=30', 'checked'],
];

for (const [form, options] of Object.entries(FORMS)) {
  for (const [words, writes] of PLUGINS) {
    const [plugin, ...parameters] = words.split(' ');
    const open = async () => overUnix(await pluginSource(plugin!, ...parameters), options);
    deviceContract(`${words} over NBD, ${form}`, open, { writes, steps: 60 });
  }

  const memory = () => pluginSource('memory', '1000001');
  const streams = async () => overPipes(await memory(), options);
  deviceContract(`memory over pipes, ${form}`, streams, { writes: 'kept', steps: 60 });
  const tcp = async () => overTcp(await memory(), options);
  deviceContract(`memory over TCP, ${form}`, tcp, { writes: 'kept', steps: 60 });

  const file = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nbdpipe-contract-'));
    const path = join(folder, 'image');
    await writeFile(path, Buffer.alloc(700_001, 'an image'));
    const source = await pluginSource('file', path);
    const close = source.close?.bind(source);
    source.close = async () => {
      await close?.();
      await rm(folder, { recursive: true });
    };
    return overUnix(source, options);
  };
  deviceContract(`file over NBD, ${form}`, file, { writes: 'kept', steps: 60 });
}

/** A source whose devices keep to block sizes that no one else has. */
async function odd(): Promise<DeviceSource> {
  const source = await pluginSource('memory', '1M');
  const blockSize = { minimum: 512, preferred: 1024, maximum: 5000 };
  return { open: async request => ({ ...(await source.open(request)), blockSize }) };
}
deviceContract('odd block sizes over NBD', async () => overUnix(await odd(), {}), {
  writes: 'kept',
});

/** The chain goes on: a server of a client of a server. */
async function chained(): Promise<BlockDevice> {
  const source = await pluginSource('memory', '1000001');
  return overUnix({ open: () => overUnix(source, {}) }, { extendedHeaders: false });
}
deviceContract('a server of a client of a server', chained, { writes: 'kept', steps: 60 });
