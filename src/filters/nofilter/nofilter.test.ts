import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';

test('the device is the one below', async () => {
  const memory = await openPlugin('memory', '1M');
  assert.equal(await openOver(memory, 'nofilter'), memory);
});
