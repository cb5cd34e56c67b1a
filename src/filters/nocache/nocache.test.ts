import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { cacheRange } from '../../block/emulate.ts';
import { supportOf } from '../../block/support.ts';

test('requests are forbidden, answered by reading, or ignored', async () => {
  const { device: below, calls } = recorded(await openPlugin('memory', '1M'));
  const open = (mode: string) => openOver(below, `nocache cachemode=${mode}`);
  assert.equal(supportOf(await open('none')).cache, 'none');
  await cacheRange(await open('nop'), 0n, 4096);
  assert.deepEqual(calls, []);
  await cacheRange(await open('emulate'), 0n, 4096);
  assert.deepEqual(
    calls.map(({ kind, length }) => [kind, length]),
    [['read', 4096]],
  );
});
