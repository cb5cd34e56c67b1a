import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { flaky } from '../../../test/peer/flaky.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { Model, Random } from '../../testing/model.ts';

const QUICK = ['retry-delay=1ms', 'retry-exponential=false'];

for (const words of [[], ['retry-readonly=true']]) {
  const open = async () =>
    (await filterSource(await pluginSource('memory', '1M'), 'retry', ...QUICK, ...words)).open(
      REQUEST,
    );
  deviceContract(`retry ${words.join(' ')}`, open, { writes: 'kept', steps: 60 });
}

async function retried(disk: ReturnType<typeof flaky>, ...words: string[]) {
  const source = await filterSource(disk.source, 'retry', ...QUICK, ...words);
  return await source.open(REQUEST);
}

test('each kind of request is made again over a disk that was opened again', async () => {
  const disk = flaky(await openPlugin('memory', '1M'));
  const device = await retried(disk);
  const requests = [
    () => device.write!(0n, Buffer.from('x'), { fua: true }),
    () => device.read(0n, 1),
    () => device.zero!(0n, 1),
    () => device.trim!(0n, 1),
    () => device.cache!(0n, 1),
    () => device.extents!(0n, 1),
    () => device.flush!(),
  ];
  for (const [index, request] of requests.entries()) {
    disk.failures = 1;
    await request();
    assert.deepEqual([disk.opened.length, disk.closed()], [index + 2, index + 1]);
  }
  await device.close!();
  assert.equal(disk.closed(), requests.length + 1);
});

test('opening is tried again, at first and later; in the end the error is told', async () => {
  const disk = flaky(await openPlugin('memory', '1M'));
  disk.openFailures = 2;
  const device = await retried(disk, 'retries=3');
  assert.equal(disk.opened.length, 3);
  disk.failures = 1;
  disk.openFailures = 2;
  await device.read(0n, 1);
  assert.equal(disk.opened.length, 6);
  disk.failures = 9;
  disk.openFailures = 9;
  await assert.rejects(async () => await device.read(0n, 1), /open failed on purpose/);
  disk.failures = disk.openFailures = 0;
  await device.read(0n, 1);
});

test('requests that fail at the same time have it opened again once', async () => {
  const disk = flaky(await openPlugin('memory', '1M'));
  const device = await retried(disk);
  disk.failures = 8;
  await Promise.all(Array.from({ length: 8 }, async () => await device.read(0n, 512)));
  assert.equal(disk.opened.length, 2);
});

test('a disk that has become another is not taken for the first', async () => {
  const memory = await openPlugin('memory', '1M');
  const disk = flaky(memory, (each, count) =>
    count === 2 ? wrapDevice(each, { ...PASS, size: 512n }) : each,
  );
  const device = await retried(disk);
  disk.failures = 1;
  await device.read(1000n, 1);
  assert.equal(disk.opened.length, 3);
});

test('retry-readonly: after a failure there is no writing', async () => {
  const disk = flaky(await openPlugin('memory', '1M'));
  const device = await retried(disk, 'retry-readonly=true');
  await device.write!(0n, Buffer.from('x'));
  disk.failures = 1;
  await device.read(0n, 1);
  assert.deepEqual(disk.opened, [false, true]);
  for (const change of [
    () => device.write!(0n, Buffer.from('y')),
    () => device.zero!(0n, 1),
    () => device.trim!(0n, 1),
  ]) {
    await assert.rejects(async () => await change(), { errno: 'EROFS' });
  }
  await device.flush!();
  assert.equal(disk.opened.length, 2);
});

test('a request for speed is not made again when it cannot be had', async () => {
  const memory = await openPlugin('memory', '1M');
  const disk = flaky(memory, each =>
    wrapDevice(each, {
      ...PASS,
      zero: () => {
        throw Object.assign(new Error('slow'), { code: 'ENOTSUP' });
      },
    }),
  );
  const device = await retried(disk);
  const zero = async () => await device.zero!(0n, 512, { fastZero: true });
  await assert.rejects(zero, /slow/);
  assert.equal(disk.opened.length, 1);
});

test('random requests over a disk that fails now and then', async () => {
  const memory = await openPlugin('memory', '1M');
  const disk = flaky(memory);
  const device = await retried(disk, 'retries=20');
  const random = new Random(3);
  const model = new Model(device, { offset: 0n, length: 100_000 }, random);
  await model.load();
  for (let step = 0; step < 200; step++) {
    disk.failures = random.below(3);
    disk.openFailures = random.below(2);
    await model.step();
  }
  await model.check();
});

test('a delay of nothing', async () => {
  const memory = await pluginSource('memory', '1M');
  await assert.rejects(
    filterSource(memory, 'retry', 'retry-delay=0'),
    /retry-delay: '0' is too small/,
  );
});
