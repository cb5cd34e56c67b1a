import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { makersOf, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { startServer } from '../../../test/peer/scripted-client.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, DeviceSource } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { duplicate } from '../../posix/duplicate.ts';
import { Server } from '../../server/server.ts';
import { loadPsk } from '../../transport/credentials.ts';

const memory = () => pluginSource('memory', '1M');

async function opened(t: TestContext, source: DeviceSource, exportName = ''): Promise<BlockDevice> {
  const device = await source.open({ ...REQUEST, exportName });
  t.after(() => device.close?.());
  return device;
}

/** A device over a server of its own, which both end with it. */
async function over(words: (path: string) => string[]): Promise<BlockDevice> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdpipe-test-'));
  const server = new Server({ source: await pluginSource('memory', '1000001') });
  await server.listen({ path: `${folder}/socket` });
  const source = await pluginSource('nbd', ...words(`${folder}/socket`));
  const device = await source.open(REQUEST);
  const close = async () => {
    await device.close?.();
    await source.close?.();
    await server.close();
    await rm(folder, { recursive: true });
  };
  return wrapDevice(device, { ...PASS, recipe: device.recipe, close });
}

const WAYS: Readonly<Record<string, (path: string) => string[]>> = {
  'by a socket': path => [`socket=${path}`],
  shared: path => [`nbd+unix:///?socket=${path}`, 'shared=true'],
};
for (const [way, words] of Object.entries(WAYS)) {
  const options = { writes: 'kept', steps: 60, makers: makersOf('nbd') } as const;
  deviceContract(`nbd ${way}`, () => over(words), options);
}

test('bytes are received into the memory that was lent, and zeroes stay holes', async t => {
  const { path } = await startServer(t, await memory());
  const device = await opened(t, await pluginSource('nbd', `socket=${path}`));
  await device.write!(32768n, Buffer.alloc(32768, 'x'));
  const lent = Buffer.alloc(4096);
  const answer = await device.read(32768n, 4096, { memory: () => lent });
  assert.equal(contiguous(answer).buffer, lent.buffer);
  const runs = await device.extents!(0n, 65536);
  assert.deepEqual(
    runs.map(({ hole, zero }) => [hole, zero]),
    [
      [true, true],
      [false, false],
    ],
  );
});

test('every metadata context is passed on', async t => {
  const below = await openPlugin('memory', '1M');
  const dirty = {
    name: 'qemu:dirty-bitmap:b',
    status: () => [
      { length: 512, flags: 1 },
      { length: 512, flags: 0 },
    ],
  };
  const device = wrapDevice(below, { ...PASS, contexts: [dirty] });
  const { path } = await startServer(t, { open: () => device });
  const passed = await opened(t, await pluginSource('nbd', `socket=${path}`));
  assert.deepEqual(
    passed.contexts!.map(({ name }) => name),
    [dirty.name],
  );
  assert.deepEqual(await passed.contexts![0]!.status(0n, 1024), dirty.status());
});

describe('exports', () => {
  const exports: DeviceSource = {
    list: () => [{ name: 'a', description: 'the first' }, { name: 'b' }],
    defaultExport: () => 'a',
    open: ({ exportName }) => ({
      size: exportName === 'b' ? 2048n : 1024n,
      read: (_, length) => Buffer.alloc(length, exportName),
    }),
  };

  test('of the URI, of export=, and none of the client', async t => {
    const { path } = await startServer(t, exports);
    const words = [[`nbd+unix:///b?socket=${path}`], [`socket=${path}`, 'export=b']];
    for (const each of words) {
      const source = await pluginSource('nbd', ...each);
      assert.equal(source.list, undefined);
      assert.equal((await opened(t, source, 'a')).size, 2048n);
    }
  });

  test('that the client chooses, and their list', async t => {
    const { path } = await startServer(t, exports);
    const source = await pluginSource('nbd', `socket=${path}`, 'dynamic-export=true');
    assert.deepEqual(await source.list!(REQUEST), [
      { name: 'a', description: 'the first' },
      { name: 'b' },
    ]);
    assert.equal(await source.defaultExport!(REQUEST), 'a');
    assert.equal((await opened(t, source, 'b')).size, 2048n);
    assert.equal((await opened(t, source)).size, 1024n);
  });
});

describe('a shared connection', () => {
  test('is made at once, kept, and made again when it was lost', async t => {
    const { path, server } = await startServer(t, await memory());
    const source = await pluginSource('nbd', `socket=${path}`, 'shared=true');
    t.after(() => source.close?.());
    const [client] = server.clients();
    for (let turn = 0; turn < 2; turn++) {
      const device = await source.open(REQUEST);
      assert.equal(device.multiConn, true);
      await device.read(0n, 512);
      await device.close?.();
    }
    assert.deepEqual(server.clients(), [client]);
    const before = await source.open(REQUEST);
    client!.disconnect(true);
    await assert.rejects(async () => before.read(0n, 512), /closed the connection/);
    const after = await source.open(REQUEST);
    assert.equal(contiguous(await after.read(0n, 512)).length, 512);
  });

  test('over an inherited socket, which is used once', async t => {
    const { path, server } = await startServer(t, await memory());
    const socket = net.connect(path).pause();
    await new Promise(resolve => socket.once('connect', resolve));
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
    const source = await pluginSource('nbd', `socket-fd=${duplicate(fd)}`);
    socket.destroy();
    t.after(() => source.close?.());
    assert.equal((await source.open(REQUEST)).size, 1n << 20n);
    for (const client of server.clients()) client.disconnect(true);
    while (server.clients().length > 0) await new Promise(setImmediate);
    await new Promise(resolve => setTimeout(resolve, 20));
    await assert.rejects(async () => source.open(REQUEST), /the connection of socket-fd is over/);
  });
});

describe('TLS', () => {
  const keys = (t: TestContext) => {
    const file = join(temporaryFolder(t), 'keys');
    writeFileSync(file, `alice:${randomBytes(32).toString('hex')}\n`);
    return file;
  };

  test('by a pre-shared key, of the URI or of parameters', async t => {
    const file = keys(t);
    const tls = { credentials: loadPsk(file), required: true };
    const { path } = await startServer(t, await memory(), { tls });
    const who = ['tls-username=alice', `tls-psk=${file}`];
    const words = [
      [`nbds+unix://alice@/?socket=${path}&tls-psk-file=${file}`],
      [`socket=${path}`, ...who],
      [`nbds+unix:///?socket=${path}`, ...who],
    ];
    for (const each of words) {
      assert.equal((await opened(t, await pluginSource('nbd', ...each))).size, 1n << 20n);
    }
    const plain = await pluginSource('nbd', `socket=${path}`);
    await assert.rejects(async () => plain.open(REQUEST), /TLS/);
  });

  test('where the server has none: on goes on, require does not', async t => {
    const file = keys(t);
    for (const options of [{}, { oldstyle: true }, { maskHandshake: 0 }]) {
      const { path } = await startServer(t, await memory(), options);
      const words = [`socket=${path}`, `tls-psk=${file}`];
      assert.equal((await opened(t, await pluginSource('nbd', ...words))).size, 1n << 20n);
      const strict = await pluginSource('nbd', ...words, 'tls=require');
      await assert.rejects(async () => strict.open(REQUEST), /cannot be encrypted/);
    }
  });
});

test('connecting is tried again', async t => {
  const path = join(temporaryFolder(t), 'socket');
  const source = await pluginSource('nbd', `socket=${path}`, 'retry=1');
  const attempt = opened(t, source);
  const server = new Server({ source: await memory() });
  await new Promise(resolve => setTimeout(resolve, 50));
  await server.listen({ path });
  t.after(() => server.close());
  assert.equal((await attempt).size, 1n << 20n);
});

describe('what is refused', () => {
  const refused: readonly [words: string[], why: RegExp][] = [
    [[], /expected one of uri, hostname/],
    [['nbd://a', 'hostname=b'], /not uri and hostname together/],
    [['socket=/x', 'port=1'], /^port: goes with hostname/],
    [['hostname=a', 'port=0'], /^port: '0'/],
    [['hostname=a', 'port=no-such-service'], /^port: 'no-such-service'/],
    [['socket=/x', 'arg=1'], /^arg: needs command/],
    [['nbd://a/b', 'export=c'], /^export: the URI/],
    [['http://a'], /unknown scheme 'http'/],
    [['nbd://a', 'dynamic-export=1', 'export=x'], /^dynamic-export/],
    [['nbd://a', 'dynamic-export=1', 'shared=1'], /^dynamic-export/],
    [['socket-fd=3', 'shared=0'], /^shared/],
    [['nbd://a', 'tls=maybe'], /^tls: unknown value 'maybe'/],
    [['nbds://a', 'tls-psk=/nonexistent'], /no such file/],
    [['vsock=2', 'port=x'], /^port: /],
  ];
  for (const [words, why] of refused) {
    test(words.join(' '), () =>
      assert.rejects(pluginSource('nbd', ...words), {
        name: 'UsageError',
        message: why,
      }),
    );
  }
});
