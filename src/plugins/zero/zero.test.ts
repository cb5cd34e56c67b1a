import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';

test('it has no bytes and takes no parameters', async () => {
  assert.equal((await openPlugin('zero')).size, 0n);
  await assert.rejects(openPlugin('zero', 'size=1'), { message: /unknown parameter 'size'/ });
});
