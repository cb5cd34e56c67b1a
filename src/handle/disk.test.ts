import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { honestUntilRequests } from '../../test/peer/scripted-server.ts';
import { sendPart, webServer } from '../../test/peer/web-server.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { zeroes } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { definePlugin, sourceOf } from '../declare/declare.ts';
import { serve } from '../server/server.ts';
import { sparseStore } from '../stores/sparse.ts';
import { copy } from './copy.ts';
import { DiskError } from './errors.ts';
import { open } from './open.ts';

const MIB = 1 << 20;

/** A disk of bytes at hand, with everything. */
function memory(size = MIB, own: Partial<BlockDevice> = {}) {
  const bytes = Buffer.alloc(size);
  const part = (offset: bigint, length: number) =>
    bytes.subarray(Number(offset), Number(offset) + length);
  const clear = (offset: bigint, length: number) => void part(offset, length).fill(0);
  const device: BlockDevice = {
    size: BigInt(size),
    read: part,
    write: (offset, data) => part(offset, data.length).set(data),
    zero: clear,
    trim: clear,
    flush: () => {},
    ...own,
  };
  return { bytes, device };
}

async function serving(t: TestContext, device: BlockDevice) {
  const path = join(temporaryFolder(t), 'socket');
  const server = await serve(device, { listen: { path } });
  t.after(() => server.close());
  return { server, uri: server.uri! };
}

const served = async (t: TestContext, device: BlockDevice) => (await serving(t, device)).uri;

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const fails = (code: string, layer: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof DiskError, String(error));
  assert.deepEqual([error.code, error.errno, error.layer], [code, code, layer]);
  assert.match(error.message, words);
  return true;
};

describe('a disk over NBD', () => {
  test('reads, writes, erases and tells of itself, at any offset', async t => {
    const { device, bytes } = memory(MIB, {
      blockSize: { minimum: 512, preferred: 4096, maximum: MIB },
      description: 'mine',
    });
    const disk = await open(await served(t, device));
    await disk.write(700, Buffer.from('hello'));
    await disk.write(4096n, Buffer.alloc(8192, 1), { fua: true });
    await disk.zero(5000, 100, { mayTrim: true });
    await disk.trim(8192, 4096);
    await disk.flush();
    const text = await disk.read(700n, 5);
    assert.equal(text.toString(), 'hello');
    text.fill(0);
    assert.equal(bytes.toString('latin1', 700, 705), 'hello');
    assert.ok(bytes.subarray(5000, 5100).every(byte => byte === 0) && bytes[5100] === 1);
    assert.equal(bytes[8192], 0);
    assert.equal((await disk.read(0, 0)).length, 0);
    assert.deepEqual(
      [disk.size, disk.description, disk.can.write, disk.can.cache, disk.contexts],
      [BigInt(MIB), 'mine', true, false, ['base:allocation']],
    );
    const { read, write, extents } = disk.statistics();
    assert.deepEqual(read, { requests: 2, bytes: 5, errors: 0 });
    assert.deepEqual([write.requests, write.bytes, extents.requests], [2, 8197, 0]);
    await disk.close();
    await assert.rejects(disk.read(0, 1), fails('ESHUTDOWN', 'connection', /has been closed/));
    await disk.close();
  });

  test('what is wrong with a call is said before anything is asked', async t => {
    const debug: string[] = [];
    const disk = await open(await served(t, memory().device), { debug: line => debug.push(line) });
    const bad: readonly (readonly [() => Promise<unknown>, string, RegExp])[] = [
      [() => disk.read(-1, 1), 'EINVAL', /offset -1/],
      [() => disk.read(0.5, 1), 'EINVAL', /offset 0\.5: expected a bigint, or a whole number/],
      [() => disk.read(2 ** 53, 1), 'EINVAL', /offset/],
      [() => disk.read(0, -1), 'EINVAL', /length -1/],
      [() => disk.read(MIB, 1), 'EINVAL', /1 bytes at 1048576 reach past the end/],
      [() => disk.write(MIB - 1, Buffer.alloc(2)), 'ENOSPC', /past the end/],
      [() => disk.write(0, 'text' as never), 'EINVAL', /expected a Uint8Array/],
      [() => disk.extents({ from: 5, to: 4 }).next(), 'EINVAL', /no part of the disk/],
    ];
    for (const [act, code, words] of bad) {
      await assert.rejects(async () => await act(), fails(code, 'call', words));
    }
    assert.deepEqual(debug, []);
    await disk.close();
  });

  test('what it cannot do is rejected', async t => {
    const { size, read } = memory().device;
    const disk = await open(await served(t, { size, read }));
    await assert.rejects(disk.write(0, Buffer.alloc(1)), fails('EPERM', 'disk', /read-only/));
    await assert.rejects(disk.zero(0, 1), fails('EPERM', 'disk', /read-only/));
    await assert.rejects(disk.trim(0, 1), fails('EPERM', 'disk', /read-only/));
    await assert.rejects(disk.flush(), fails('ENOTSUP', 'disk', /cannot flush/));
    await assert.rejects(disk.cache(0, 1), fails('ENOTSUP', 'disk', /not offered/));
    await assert.rejects(
      disk.status('x:y').next(),
      fails('ENOTSUP', 'disk', /no metadata context/),
    );
    await disk.close();

    const { device, bytes } = memory(MIB, { flush: undefined } as never);
    const volatile = await open(await served(t, device));
    const durably = volatile.write(0, Buffer.of(1), { fua: true });
    await assert.rejects(durably, fails('ENOTSUP', 'disk', /fua/));
    assert.equal(bytes[0], 0);
    await volatile.close();
  });

  test('errors of the server say what was asked, and of which export', async t => {
    const { device } = memory(MIB, {
      read: offset => {
        throw new BlockError('EIO', 'a bad sector', { offset: offset + 512n });
      },
    });
    const disk = await open(await served(t, device), { exportName: 'x' });
    await assert.rejects(disk.read(4096, 1024), (error: DiskError) => {
      const { operation, offset, length, exportName } = error;
      assert.deepEqual([operation, offset, length, exportName], ['read', 4096n, 1024, 'x']);
      return fails('EIO', 'disk', /a bad sector/)(error);
    });
    assert.equal(disk.statistics().read.errors, 1);
    await disk.close();
  });
});

test('a call can be given up, by a signal and by a deadline', async t => {
  const path = await honestUntilRequests(t, { form: 'structured' }, async server => {
    await server.wire.end();
  });
  const disk = await open(`nbd+unix:///?socket=${path}`);
  const controller = new AbortController();
  const reading = disk.read(0, 512, { signal: controller.signal, timeout: 60_000 });
  const late = disk.read(512, 512, { timeout: 10 });
  await assert.rejects(late, fails('ETIMEDOUT', 'connection', /no answer within 10 ms/));
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(reading, error => error === reason);
  await assert.rejects(disk.flush({ signal: controller.signal }), error => error === reason);
  const left = assert.rejects(disk.read(0, 512), fails('ESHUTDOWN', 'connection', /dropped/));
  await disk.close({ timeout: 10 });
  await left;
});

test('opening can be given up', async t => {
  const path = await honestUntilRequests(t, { form: 'structured' }, async () => {});
  const uri = `nbd+unix:///?socket=${path}`;
  await assert.rejects(open(uri, { signal: AbortSignal.abort(new Error('no')) }), /^Error: no$/);
  await assert.rejects(open('nbd+unix:///?socket=/nonexistent'), /cannot connect/);
});

test('extents in order, with neighbours of one kind as one', async t => {
  const { device } = memory(MIB, {
    extents: offset => {
      const hole = offset >= 65536n && offset < 131072n;
      return [{ length: 4096 - Number(offset % 4096n), hole, zero: hole }];
    },
  });
  const disk = await open(await served(t, device));
  const found = await all(disk.extents());
  assert.deepEqual(
    found.map(({ offset, length, zero }) => [offset, length, zero]),
    [
      [0n, 65536, false],
      [65536n, 65536, true],
      [131072n, MIB - 131072, false],
    ],
  );
  const [part] = await all(disk.extents({ from: 65537, to: 65540n }));
  assert.deepEqual(part, { offset: 65537n, length: 3, hole: true, zero: true });
  await disk.close();
});

test('streams, one after the other and past the end', async t => {
  const { device, bytes } = memory(3 * MIB);
  const disk = await open(await served(t, device));
  const writer = disk.writable({ from: 1, to: 2 * MIB }).getWriter();
  const chunk = Buffer.alloc(700_000);
  for (let count = 1; count <= 2; count++) {
    chunk.fill(count);
    await writer.write(chunk);
  }
  await writer.close();
  assert.deepEqual([bytes[0], bytes[1], bytes[700_001], bytes[1_400_001]], [0, 1, 2, 0]);
  let length = 0;
  for await (const read of disk.readable({ to: 1_400_001 })) {
    assert.ok(bytes.subarray(length, length + read.length).equals(read));
    length += read.length;
  }
  assert.equal(length, 1_400_001);
  const small = disk.writable({ from: 3 * MIB - 1 }).getWriter();
  small.closed.catch(() => {});
  await assert.rejects(small.write(Buffer.alloc(2)), /no room past/);
  for await (const _ of disk.readable()) break;
  await disk.close();
});

describe('what can be opened', () => {
  test('a file', async t => {
    const path = join(temporaryFolder(t), 'disk.img');
    writeFileSync(path, 'twelve bytes');
    const disk = await open(path);
    await disk.write(0, Buffer.from('T'));
    const readOnly = await open(path, { readOnly: true });
    assert.equal((await readOnly.read(0, 12)).toString(), 'Twelve bytes');
    assert.equal(readOnly.can.write, false);
    await Promise.all([disk.close(), readOnly.close()]);
    await assert.rejects(open(`${path}.none`), /ENOENT|no such file/);
  });

  test('an address on the web', async t => {
    const bytes = Buffer.from('bytes from afar');
    const web = await webServer(t, (request, response) => sendPart(request, response, bytes));
    const disk = await open(web.url());
    assert.equal((await disk.read(6, 4)).toString(), 'from');
    await assert.rejects(disk.write(0, bytes), fails('EPERM', 'disk', /read-only/));
    await disk.close();
  });

  test('a device, a source by its export, and a plugin', async () => {
    const { device } = memory();
    const own = await open(device);
    assert.equal(own.device.size, BigInt(MIB));
    await own.close();
    const source = sourceOf(({ exportName }) => memory(exportName.length * 512).device);
    const named = await open(source, { exportName: 'four' });
    assert.equal(named.size, 2048n);
    let closed = 0;
    const plugin = definePlugin({
      name: 'mine',
      description: 'zeroes',
      parameters: { size: { type: 'size', required: true, help: 'Size' } },
      create: ({ size }) => ({
        open: () => ({ size, read: (_, length) => zeroes(length) }),
        close: () => {
          closed += 1;
        },
      }),
    });
    const disk = await open(plugin, { parameters: ['size=1G'] });
    assert.equal(disk.size, 1n << 30n);
    assert.ok((await disk.read(5n, 5)).every(byte => byte === 0));
    await disk.close();
    assert.equal(closed, 1);
    await assert.rejects(open(plugin), /UsageError: .*size/);
  });
});

test('several connections where the server allows them, all closed in the end', async t => {
  for (const [multiConn, expected] of [
    [true, 3],
    [false, 1],
  ] as const) {
    const { server, uri } = await serving(t, memory(MIB, { multiConn }).device);
    const disk = await open(uri, { connections: 3 });
    assert.equal(server.clients().length, expected);
    await Promise.all([0, 1, 2, 3].map(at => disk.write(at, Buffer.of(at))));
    assert.deepEqual([...(await disk.read(0, 4))], [0, 1, 2, 3]);
    const used = server.clients().filter(({ statistics }) => statistics.requests > 0);
    assert.equal(used.length, expected);
    await disk.close();
    for (const connection of disk.connections) {
      await assert.rejects(async () => await connection.read(0n, 1), { code: 'ESHUTDOWN' });
    }
  }
});

test('a lost connection is made again only where that is wanted', async t => {
  const { server, uri } = await serving(t, memory().device);
  const drop = () => {
    for (const client of server.clients()) client.disconnect(true);
  };
  const once = await open(uri);
  const lasting = await open(uri, { reconnect: { delay: 1 } });
  await lasting.write(0, Buffer.from('kept'));
  drop();
  await assert.rejects(once.read(0, 4), fails('ECONNRESET', 'connection', /closed the connection/));
  const reads = await Promise.all([lasting.read(0, 4), lasting.read(0, 4)]);
  assert.deepEqual(reads.map(String), ['kept', 'kept']);
  await server.close();
  await assert.rejects(lasting.read(0, 4), { name: 'DiskError', code: 'ECONNRESET' });
  await Promise.all([once.close(), lasting.close()]);
});

test('one disk is copied to another, with progress, until it is given up', async t => {
  const from = memory();
  from.bytes.fill('some data');
  const source = await open(await served(t, from.device));
  const target = await open(sparseStore(BigInt(MIB)));
  let done = 0;
  await copy(source, target, { progress: bytes => (done += bytes) });
  assert.equal(done, MIB);
  assert.ok((await target.read(0, MIB)).equals(from.bytes));
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(copy(source, target, { signal }), /^Error: enough$/);
  await source.close();
});

test('calls that are wrong by themselves say what is right', async () => {
  await using disk = await open(memory().device);
  // What the compiler would say.
  const calls = disk as unknown as Record<string, (...words: unknown[]) => Promise<unknown>>;
  const wrong: readonly (readonly [call: string, words: readonly unknown[], says: RegExp])[] = [
    ['read', [], /^offset undefined: expected a bigint/],
    ['read', [0, 5, 7], /^options: expected an object, not 7$/],
    ['read', [0, 5, { timeout: 'soon' }], /^timeout: expected milliseconds, not soon$/],
    ['flush', [{ signal: {} }], /^signal: expected an AbortSignal$/],
    ['write', [0, 'text'], /^data: expected a Uint8Array$/],
  ];
  for (const [call, words, says] of wrong) {
    await assert.rejects(calls[call]!(...words), fails('EINVAL', 'call', says));
  }
  assert.throws(() => disk.readable({ from: -1 }), fails('EINVAL', 'call', /^from -1 to 1048576/));
  const writer = disk.writable().getWriter() as WritableStreamDefaultWriter<unknown>;
  await assert.rejects(writer.write('text'), /^CallError: writable: expected a Uint8Array$|: writ/);
});

test('what cannot be opened, copied or listened at says what could be', async () => {
  const unknown = (value: unknown) => value as never;
  const { device } = memory();
  const wrong: readonly (readonly [attempt: () => Promise<unknown>, says: RegExp])[] = [
    [() => open(unknown(undefined)), /^UsageError: open: expected an NBD URI, .*, not undefined$/],
    [() => open(device, { connections: 0 }), /^UsageError: connections: expected .*, not 0$/],
    [() => open(device, { reconnect: { retries: -1 } }), /^UsageError: reconnect: expected true/],
    [() => copy(device, unknown(5)), /^UsageError: expected a disk or a device, not 5$/],
    [() => serve(device, unknown(undefined)), /^UsageError: listen: expected \{ port \}, /],
    [
      () => serve(device, { listen: { port: 65536 } }),
      /^UsageError: port: expected .*, not 65536$/,
    ],
  ];
  for (const [attempt, says] of wrong) await assert.rejects(attempt(), says);
});
