import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';

test('the disk says what it was told to say', async () => {
  const memory = await openPlugin('memory', '1M');
  const spinning = await openOver(memory, 'rotational');
  assert.equal(spinning.rotational, true);
  assert.equal((await openOver(spinning, 'rotational rotational=false')).rotational, false);
});
