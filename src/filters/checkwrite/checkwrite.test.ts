import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, openOver, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

const DIFFERS = { errno: 'EIO', message: 'data written does not match expected' };

test('what is there may be written, and nothing else', async () => {
  const device = await openOver(await openPlugin('pattern', '1M'), 'checkwrite');
  const bytes = await readBytes(device, 4096n, 100_000);
  await device.write!(4096n, bytes, { fua: true });
  bytes[99_999]! ^= 1;
  await assert.rejects(async () => await device.write!(4096n, bytes), DIFFERS);
  await device.flush!();
});

test('a disk that cannot be written can be here, and is opened for reading', async () => {
  const asked: boolean[] = [];
  const ones = await openPlugin('ones', '1M');
  const below = {
    open: ({ readOnly }: { readOnly: boolean }) => {
      asked.push(readOnly);
      return ones;
    },
  };
  const device = await (await filterSource(below, 'checkwrite')).open(REQUEST);
  await device.write!(0n, Buffer.alloc(10, 0xff));
  assert.deepEqual([asked, device.multiConn, device.fua], [[true], true, 'native']);
});

test('zeroing and trims want zeroes', async () => {
  const disk = new StrictDevice(Buffer.concat([Buffer.alloc(1000), Buffer.of(1)]));
  const device = await openOver(disk, 'checkwrite');
  await device.zero!(0n, 1000);
  await device.trim!(5n, 10);
  await assert.rejects(async () => await device.zero!(0n, 1001), DIFFERS);
  await assert.rejects(async () => await device.trim!(1000n, 1), DIFFERS);
  await assert.rejects(async () => await device.zero!(0n, 10, { fastZero: true }), {
    errno: 'ENOTSUP',
  });
});

test('holes are not read', async () => {
  const device = await openOver(await openPlugin('memory', '7E'), 'checkwrite');
  await device.zero!(0n, 2 ** 52, { fastZero: true });
});
