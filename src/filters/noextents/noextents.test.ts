import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';

test('nobody can ask where there is data', async () => {
  const device = await openOver(await openPlugin('memory', '1M'), 'noextents');
  assert.equal(device.extents, undefined);
  assert.ok(device.writeBuffer, 'all else passes');
});
