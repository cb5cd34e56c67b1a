import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { isKnownZero } from '../../block/data.ts';

test('it reads as zeroes and every change is ENOSPC', async () => {
  const device = await openPlugin('full', '1M');
  assert.ok(isKnownZero((await device.read(0n, 4096)) as Uint8Array));
  const noSpace = { name: 'BlockError', errno: 'ENOSPC', offset: 512n };
  await assert.rejects(async () => await device.write!(512n, Buffer.alloc(1)), noSpace);
  await assert.rejects(async () => await device.trim!(512n, 1), noSpace);
  await assert.rejects(async () => await device.zero!(512n, 1, { fastZero: true }), noSpace);
});
