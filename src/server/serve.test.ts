/** A server inside a program: serve, its URI, one device for all, statistics, the end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { BlockDevice } from '../block/device.ts';
import { connect } from '../client/connect.ts';
import { sparseStore } from '../stores/sparse.ts';
import { Server, serve } from './server.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-serve-'));
after(() => rmSync(folder, { recursive: true }));

const filled = (byte: number) => ({
  size: 4096n,
  read: (_offset: bigint, length: number) => Buffer.alloc(length, byte),
});

test('a device at a free port; the URI leads to it', async () => {
  await using server = await serve(filled(7), { listen: { port: 0 } });
  assert.match(server.uri, /^nbd:\/\/localhost:\d+\/$/);
  const client = await connect(server.uri);
  assert.deepEqual([client.size, (await client.read(0n, 1))[0]], [4096n, 7]);
  await client.close();
});

test('addresses that clients can use', async () => {
  const uriAt = async (listen: Parameters<typeof serve>[1]['listen']) => {
    await using server = await serve(filled(7), { listen });
    return server.uri;
  };
  assert.match(await uriAt({ host: '127.0.0.1', port: 0 }), /^nbd:\/\/127\.0\.0\.1:\d+\/$/);
  const path = join(folder, 'socket');
  assert.equal(await uriAt({ path }), `nbd+unix:///?socket=${path}`);
  assert.throws(() => new Server({ source: filled(1) }).uri, /the server does not listen/);
});

test('all connections share the device, and none closes it', async () => {
  let closed = 0;
  const device: BlockDevice = Object.assign(sparseStore(4096n), { close: () => void closed++ });
  await using server = await serve(device, { listen: { path: join(folder, 'shared') } });
  const one = await connect(server.uri);
  await one.write!(0n, Buffer.from('seen'));
  await one.close();
  const other = await connect(server.uri);
  assert.equal(Buffer.from(await other.read(0n, 4)).toString(), 'seen');
  await other.close();
  assert.equal(closed, 0);
});

test('what is served may be replaced by another device', async () => {
  await using server = await serve(filled(1), { listen: { path: join(folder, 'replaced') } });
  const before = await connect(server.uri);
  const gone = server.replace(filled(2));
  const after = await connect(server.uri);
  assert.deepEqual([(await before.read(0n, 1))[0], (await after.read(0n, 1))[0]], [1, 2]);
  await before.close();
  await gone;
  await after.close();
});

test('what is neither a device nor a source, and a place that is taken', async () => {
  const listen = { path: join(folder, 'taken') };
  const bad = (what: unknown) => serve(what as BlockDevice, { listen });
  await assert.rejects(bad({ size: 5 }), /the device: size must be a bigint/);
  await assert.rejects(bad(undefined), /the device: must be an object, not undefined/);
  await using _server = await serve(filled(1), { listen });
  await assert.rejects(serve(filled(1), { listen }), { code: 'EADDRINUSE' });
});

test('statistics, of a client and of all', async () => {
  const store = sparseStore(4096n);
  const listen = { path: join(folder, 'counted') };
  await using server = await serve(store, { listen });
  const clients = [await connect(server.uri), await connect(server.uri)] as const;
  await clients[0].write!(0n, Buffer.alloc(512));
  await clients[1].read(0n, 1024);
  await clients[1].read(0n, 1);
  const [one, two] = server.clients().map(({ statistics }) => ({ ...statistics }));
  assert.deepEqual(one, { requests: 1, failed: 0, bytesRead: 0, bytesWritten: 512 });
  assert.deepEqual(two, { requests: 2, failed: 0, bytesRead: 1025, bytesWritten: 0 });
  await clients[1].close();
  void server.replace({ size: 4096n, read: () => Buffer.alloc(0) });
  const third = await connect(server.uri);
  await assert.rejects(async () => third.read(0n, 5), /read gave 0 bytes instead of 5/);
  await third.close();
  await clients[0].close();
  const { connections, ...all } = server.statistics();
  assert.equal(connections, 3);
  assert.deepEqual(all, { requests: 4, failed: 1, bytesRead: 1030, bytesWritten: 512 });
});
