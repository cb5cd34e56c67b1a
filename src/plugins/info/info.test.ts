import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { findCNbdkit, servedByC } from '../../../test/peer/c-nbdkit.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';

async function open(mode: string, request: Partial<OpenRequest>): Promise<BlockDevice> {
  return await (await pluginSource('info', mode)).open({ ...REQUEST, ...request });
}

async function bytesOf(device: BlockDevice): Promise<Buffer> {
  return contiguous(await device.read(0n, Number(device.size))) as Buffer;
}

test('exportname is the default', async () => {
  const source = await pluginSource('info');
  const device = await source.open({ ...REQUEST, exportName: 'grüß dich' });
  assert.equal((await bytesOf(device)).toString(), 'grüß dich');
  assert.deepEqual([device.write, device.multiConn], [undefined, true]);
  const part = contiguous(await device.read(2n, 2)) as Buffer;
  assert.equal(part.toString(), 'ü');
  assert.equal((await source.open(REQUEST)).size, 0n);
});

test('base64exportname, with spaces as they come from a command line', async () => {
  for (const exportName of ['AP8Afw==', ' AP8A\nfw= =\n']) {
    const device = await open('base64exportname', { exportName });
    assert.deepEqual(await bytesOf(device), Buffer.of(0, 255, 0, 127));
  }
  assert.equal((await open('base64exportname', { exportName: '' })).size, 0n);
  for (const exportName of ['AP8Afw', 'AP8Afw=', '!!', 'AP8Afx==', '====', 'QQ==QQ==', 'A']) {
    await assert.rejects(
      () => open('base64exportname', { exportName }),
      error => error instanceof BlockError && error.errno === 'ENOENT',
      exportName,
    );
  }
});

test('address', async () => {
  const peers = [
    [{ family: 'ipv4', address: '127.0.0.1', port: 4321 }, '127.0.0.1:4321'],
    [{ family: 'ipv6', address: '::1', port: 65535 }, '[::1]:65535'],
    [{ family: 'unix', address: '/secret/path' }, 'unix'],
    [{ family: 'pipe' }, 'pipe'],
  ] as const;
  for (const [peer, expected] of peers) {
    const device = await open('mode=address', { peer });
    assert.equal((await bytesOf(device)).toString(), expected);
    assert.ok(!device.multiConn);
  }
});

test('version', async () => {
  assert.match((await bytesOf(await open('version', {}))).toString(), /^1\.\d+\.\d+$/);
});

/** Microseconds. */
async function timeOf(device: BlockDevice): Promise<bigint> {
  assert.equal(device.size, 12n);
  const bytes = await bytesOf(device);
  assert.ok(bytes.readUInt32BE(8) < 1_000_000);
  return bytes.readBigUInt64BE() * 1_000_000n + BigInt(bytes.readUInt32BE(8));
}

test('time is the time of day when it is read', async () => {
  const device = await open('time', {});
  const before = BigInt(Date.now()) * 1000n;
  const time = await timeOf(device);
  assert.ok(time >= before && time <= BigInt(Date.now()) * 1000n, `${time}`);
});

test('uptime and conntime begin at 0 and go on', async () => {
  const start = process.hrtime.bigint();
  const uptime = await pluginSource('info', 'uptime');
  const conntime = await pluginSource('info', 'conntime');
  await new Promise(resolve => setTimeout(resolve, 5));
  const up = await uptime.open(REQUEST);
  const opened = process.hrtime.bigint();
  const connected = await conntime.open(REQUEST);
  assert.ok((await timeOf(up)) >= 4000n);
  assert.ok((await timeOf(connected)) <= (process.hrtime.bigint() - opened) / 1000n + 1n);
  const first = await timeOf(connected);
  await new Promise(resolve => setTimeout(resolve, 5));
  assert.ok((await timeOf(connected)) >= first + 4000n);
  assert.ok((await timeOf(up)) <= (process.hrtime.bigint() - start) / 1000n + 1n);
});

test('the same bytes as the C plugin', async t => {
  const nbdkit = findCNbdkit();
  if (!nbdkit) return t.skip('needs C nbdkit and nbdcopy');
  for (const [mode, exportName] of [
    ['exportname', 'hello'],
    ['base64exportname', 'aGVsbG8='],
    ['base64exportname', ''],
    ['address', ''],
  ] as const) {
    const theirs = servedByC(nbdkit, '-e', exportName, 'info', mode);
    const device = await open(mode, { exportName });
    assert.deepEqual(device.size > 0n ? await bytesOf(device) : Buffer.alloc(0), theirs, mode);
  }
});

test('bad parameters', async () => {
  await assert.rejects(
    () => openPlugin('info', 'nonsense'),
    error => error instanceof UsageError && /^mode: unknown value 'nonsense'/.test(error.message),
  );
});
