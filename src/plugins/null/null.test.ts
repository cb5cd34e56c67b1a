import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { byteLength, isKnownZero } from '../../block/data.ts';

test('without a size there are no bytes', async () => {
  assert.equal((await openPlugin('null')).size, 0n);
});

test('everything is a hole, also what was written', async () => {
  const device = await openPlugin('null', '1G');
  await device.write!(0n, Buffer.from('x'));
  assert.ok(isKnownZero((await device.read(0n, 4096)) as Uint8Array));
  assert.deepEqual(await device.extents!(0n, 1 << 30), [
    { length: 1 << 30, hole: true, zero: true },
  ]);
});

test('long writes land in memory that is used over and over', async () => {
  const device = await openPlugin('null', '1G');
  assert.equal(byteLength(device.writeBuffer!(5n, 10_000_000)!.memory), 10_000_000);
});
