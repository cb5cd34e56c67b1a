/** The end of a server, and another source while it runs. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { only, startServer } from '../../test/peer/scripted-client.ts';
import { connected } from '../../test/peer/transmission.ts';
import type { BlockDevice, OpenRequest, Peer } from '../block/device.ts';
import { connect } from '../client/connect.ts';
import { Command } from '../protocol/constants.ts';
import { sparseStore } from '../stores/sparse.ts';

const SIZE = 1n << 20n;
const filled = (byte: number) => ({
  size: SIZE,
  read: (_offset: bigint, length: number) => Buffer.alloc(length, byte),
});

test('a server ends although a device never answers; the device is told and closed', async t => {
  const requests: OpenRequest[] = [];
  let closed = 0;
  let asked = () => {};
  const reading = new Promise<void>(resolve => {
    asked = resolve;
  });
  const device = {
    size: SIZE,
    read: () => {
      asked();
      return new Promise<never>(() => {});
    },
    close: () => {
      closed += 1;
    },
  };
  const source = {
    open: (request: OpenRequest) => {
      requests.push(request);
      return device;
    },
  };
  const { server, dial, complaints } = await startServer(t, source);
  const client = await dial();
  await client.greet();
  await client.go();
  client.request({ type: Command.read, length: 512 });
  await reading;
  assert.equal(requests[0]!.signal.aborted, false);
  await server.close({ timeout: 50 });
  assert.equal(requests[0]!.signal.aborted, true);
  assert.equal(server.clients().length, 0);
  await new Promise(setImmediate);
  assert.equal(closed, 1);
  assert.match(complaints.join(), /given up/);
});

test('a request that heeds its signal ends with its client', async t => {
  let given: unknown;
  const source = {
    open: ({ signal }: OpenRequest) => ({
      size: SIZE,
      read: () =>
        new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            given = signal.reason;
            reject(signal.reason);
          });
        }),
    }),
  };
  const { server, dial } = await startServer(t, source);
  const client = await dial();
  await client.greet();
  await client.go();
  client.request({ type: Command.read, length: 512 });
  while (server.clients()[0]?.exportName === undefined) await new Promise(setImmediate);
  client.wire.hangUp();
  while (server.clients().length > 0) await new Promise(setImmediate);
  assert.match(String(given), /the client is gone/);
});

test('a client that leaves a request which never ends does not keep its connection', async t => {
  let closed = 0;
  const device = {
    size: SIZE,
    read: () => new Promise<never>(() => {}),
    close: () => void closed++,
  };
  const { dial, complaints } = await startServer(t, only(device));
  const client = await dial();
  await client.greet();
  await client.go();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  client.request({ type: Command.read, length: 512 });
  client.wire.finish();
  // Until the server has seen it, there is no time to pass.
  const passing = setInterval(() => t.mock.timers.tick(1000), 1);
  assert.equal((await client.wire.end()).length, 0);
  clearInterval(passing);
  t.mock.timers.reset();
  assert.match(
    complaints.join(),
    /^the client is gone, and its requests have not ended after 5000 ms$/,
  );
  assert.equal(closed, 0);
});

test('a source may turn a client away before anything is opened, or hang up on it later', async t => {
  const opened: OpenRequest[] = [];
  let open = true;
  const source = {
    preconnect: () => {
      if (!open) throw new Error('closed today');
    },
    open: (request: OpenRequest) => {
      opened.push(request);
      return filled(1);
    },
  };
  const { dial, complaints } = await startServer(t, source);
  const client = await dial();
  await client.greet();
  await client.go();
  open = false;
  const other = await dial();
  assert.equal((await other.wire.end()).length, 0);
  assert.deepEqual([opened.length, complaints], [1, ['closed today']]);
  opened[0]!.disconnect();
  assert.equal((await client.wire.end()).length, 0);
});

test('another source for those who come later', async t => {
  const { server, path } = await startServer(t, only(filled(1)));
  const uri = `nbd+unix:///?socket=${path}`;
  const early = await connect(uri);
  let alone = false;
  const replaced = server.replace(only(filled(2))).then(() => {
    alone = true;
  });
  const late = await connect(uri);
  assert.equal((await early.read(0n, 1))[0], 1);
  assert.equal((await late.read(0n, 1))[0], 2);
  assert.equal(alone, false);
  await early.close();
  await replaced;
  await late.close();
});

test('an observer sees connections and requests', async t => {
  const seen: string[] = [];
  const { path, server } = await startServer(t, only(filled(1)), {
    observer: {
      connected: ({ id, peer }) => void seen.push(`${peer.family} ${id}`),
      request: ({ exportName }, { type, length }) =>
        void seen.push(`${exportName}: ${type} of ${length}`),
      disconnected: ({ id }) => void seen.push(`end of ${id}`),
    },
  });
  const client = await connect(`nbd+unix:///disk?socket=${path}`);
  await client.read(0n, 512);
  await client.close();
  while (server.clients().length > 0) await new Promise(setImmediate);
  assert.deepEqual(seen, ['unix 1', 'disk: 0 of 512', 'end of 1']);
});

test('who is at the other end of a Unix socket', async t => {
  const peers: Peer[] = [];
  const source = {
    open: ({ peer }: OpenRequest) => {
      peers.push(peer);
      return filled(1);
    },
  };
  const { path } = await startServer(t, source);
  const client = await connect(`nbd+unix:///?socket=${path}`);
  const { pid, uid, gid } = structuredClone(peers[0]!);
  await client.close();
  if (process.platform !== 'linux') return;
  assert.deepEqual([pid, uid, gid], [process.pid, process.getuid!(), process.getgid!()]);
});

test('the connection ends when the disk is closed, not before', async t => {
  const closing = new EventEmitter();
  const close = async () => {
    closing.emit('begun');
    await once(closing, 'over');
  };
  const source = { open: () => ({ ...filled(1), close }) };
  const { dial } = await startServer(t, source);
  const client = await dial();
  await client.greet();
  await client.go();
  client.request({ type: Command.disconnect });
  const end = client.wire.end();
  await once(closing, 'begun');
  assert.equal(await Promise.race([end, delay(50, 'still open')]), 'still open');
  closing.emit('over');
  assert.equal((await end).length, 0);
});

describe('closing the server', () => {
  test('requests under way are answered, then the connection ends', async t => {
    let release: () => void = () => {};
    const gate = new Promise<void>(resolve => {
      release = resolve;
    });
    let begun = 0;
    const device: BlockDevice = {
      ...sparseStore(SIZE),
      read: async (_at, length) => {
        begun += 1;
        await gate;
        return Buffer.alloc(length, 7);
      },
    };
    const { client, server } = await connected(t, device);
    for (let cookie = 1n; cookie <= 3n; cookie++) {
      client.request({ type: Command.read, length: 512, cookie });
    }
    while (begun < 3) await new Promise(setImmediate);
    const closing = server.close();
    await new Promise(resolve => setTimeout(resolve, 20));
    release();
    for (let count = 0; count < 3; count++) {
      assert.equal((await client.answer(512)).payload[0], 7);
    }
    assert.equal((await client.wire.end()).length, 0);
    await closing;
  });

  test('clients that negotiate are cut off; nobody can connect; twice is as good', async t => {
    const { client, server, dial } = await connected(t, sparseStore(SIZE));
    const idle = await dial();
    await idle.greet();
    await Promise.all([server.close(), server.close()]);
    await Promise.all([client.wire.end(), idle.wire.end()]);
    await assert.rejects(dial());
  });
});
