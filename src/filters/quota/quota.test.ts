import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import type { DeviceSource } from '../../block/device.ts';

async function opened(words: string, below?: DeviceSource) {
  const disk = below ?? (await pluginSource('memory', '1M'));
  const source = await filterSource(disk, 'quota', ...words.split(' '));
  return { source, devices: [await source.open(REQUEST), await source.open(REQUEST)] as const };
}

test('all clients of an export together, and smaller requests when larger ones do not fit', async () => {
  const { devices } = await opened('quota=1000');
  const [one, other] = devices;
  await one.read(0n, 400);
  await other.write!(0n, Buffer.alloc(300));
  await one.zero!(0n, 200);
  await one.trim!(0n, 4096);
  await assert.rejects(async () => await other.read(7n, 101), {
    errno: 'EPERM',
    offset: 7n,
    message: 'quota: 100 of 1000 bytes are left, and this would be 101',
  });
  await assert.rejects(async () => await one.write!(0n, Buffer.alloc(101)), { errno: 'ENOSPC' });
  await assert.rejects(async () => await one.zero!(0n, 2 ** 19), { errno: 'ENOSPC' });
  await other.read(0n, 100);
  await one.flush!();
});

test('each connection has its own', async () => {
  const { devices } = await opened('quota-read=500 quota-write=0 quota-per=connection');
  for (const device of devices) {
    await device.read(0n, 500);
    await assert.rejects(async () => await device.read(0n, 1), {
      message: /^quota-read: 0 of 500/,
    });
    await assert.rejects(
      async () => await device.write!(0n, Buffer.alloc(1)),
      /^BlockError: quota-w/,
    );
  }
});

test('each export has its own', async () => {
  const memory = await pluginSource('memory', '1M');
  const list = () => [{ name: 'a' }, { name: 'b' }];
  const { source } = await opened('quota=10', { ...memory, open: memory.open, list });
  for (const exportName of ['a', 'b']) {
    const device = await source.open({ ...REQUEST, exportName });
    await device.read(0n, 10);
    await assert.rejects(async () => await device.read(0n, 1), { errno: 'EPERM' });
  }
});

test('what fails does not count, and what is under way does', async () => {
  const answers: ((error?: Error) => void)[] = [];
  const read = (offset: bigint) => {
    if (offset === 50n) throw new Error('broken at once');
    return new Promise<Buffer>((resolve, reject) => {
      answers.push(error => (error ? reject(error) : resolve(Buffer.alloc(10))));
    });
  };
  const { devices } = await opened('quota-read=10', { open: () => ({ size: 100n, read }) });
  await assert.rejects(async () => await devices[0].read(50n, 10), /broken at once/);
  const first = devices[0].read(0n, 10);
  await assert.rejects(async () => await devices[1].read(0n, 1), { errno: 'EPERM' });
  answers[0]!(new Error('broken'));
  await assert.rejects(async () => await first, /broken/);
  const second = devices[1].read(0n, 10);
  answers[1]!();
  await second;
});

test('no quota', async () => {
  const message = 'one must be given of quota, quota-read, quota-write';
  await assert.rejects(opened('quota-per=export'), { name: 'UsageError', message });
});
