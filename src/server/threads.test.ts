import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { startThread } from '../../test/peer/thread.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { messageOf } from '../block/errors.ts';
import type { NbdClient } from '../client/client.ts';
import { connect } from '../client/connect.ts';
import { memoryStore } from '../stores/allocator.ts';
import { Server } from './server.ts';
import type { ThreadOptions } from './threads.ts';

const MIB = 1 << 20;
/** Enough reads of a megabyte to make a connection a busy one. */
const MANY = 80;

async function readMuch(client: NbdClient): Promise<void> {
  const buffer = Buffer.alloc(MIB);
  const memory = (length: number) => buffer.subarray(0, length);
  for (let round = 0; round < MANY; round++) {
    assert.equal((await client.read(0n, MIB, { memory })).length, MIB);
  }
}

const START: Readonly<Record<string, () => Promise<Worker>>> = {
  'cannot be started': async () => {
    throw new Error('no more of them');
  },
  'ends before it can serve': async () => new Worker('process.exit(1)', { eval: true }),
  'fails before it can serve': async () =>
    new Worker("throw new Error('no more of them')", { eval: true }),
};

for (const [what, start] of Object.entries(START)) {
  test(`a thread that ${what} leaves every connection where it is`, async t => {
    const starts: (() => Promise<Worker>)[] = [];
    const helpers: ThreadOptions = {
      most: 3,
      start: () => {
        starts.push(start);
        return start();
      },
    };
    const errors: string[] = [];
    const bytes = Buffer.alloc(MIB);
    const device = {
      size: BigInt(MIB),
      recipe: { from: 1 },
      multiConn: true,
      read: (_offset: bigint, length: number) => [bytes.subarray(0, length)],
    };
    const source = { open: () => device };
    const server = new Server({
      source,
      helpers,
      observer: { error: error => errors.push(messageOf(error)) },
    });
    const path = join(temporaryFolder(t), 'socket');
    await server.listen({ path });
    const clients = await Promise.all([1, 2, 3].map(() => connect(`nbd+unix:///?socket=${path}`)));
    await Promise.all(clients.map(readMuch));
    await Promise.all(clients.map(readMuch));
    await Promise.all(clients.map(client => client.close()));
    await server.close();
    // The second may have been started before the first one's end was known.
    assert.ok(starts.length === 1 || starts.length === 2, `${starts.length} were started`);
    for (const error of errors) assert.match(error, /^a thread .*no more of them$/);
  });
}

for (const sharedMemory of [false, true]) {
  const by = sharedMemory ? 'shared memory' : 'the socket';
  test(`in another thread connections go on by ${by}, and are counted when they end`, async t => {
    const device = memoryStore(1n << 40n, 'sparse');
    let moved = 0;
    const server = new Server({
      source: { open: () => device },
      helpers: { most: 1, start: startThread },
      observer: {
        debug: message => {
          if (message.includes('another thread')) moved += 1;
        },
      },
    });
    const path = join(temporaryFolder(t), 'socket');
    await server.listen({ path });
    const uri = `nbd+unix:///?socket=${path}`;
    const clients = await Promise.all([1, 2].map(() => connect(uri, { sharedMemory })));
    await clients[0]!.write!(0n, Buffer.alloc(MIB, 1));
    let rounds = 0;
    for (; moved === 0; rounds++) await Promise.all(clients.map(readMuch));
    const first = Buffer.alloc(MIB, 1);
    for (const client of clients) assert.ok(first.equals(await client.read(0n, MIB)), by);
    await Promise.all(clients.map(client => client.close()));
    while (server.clients().length > 0) await new Promise(setImmediate);
    const { requests, bytesRead, bytesWritten } = server.statistics();
    assert.equal(requests, rounds * 2 * MANY + 3);
    assert.deepEqual([bytesRead, bytesWritten], [(requests - 1) * MIB, MIB]);
    await server.close();
  });
}
