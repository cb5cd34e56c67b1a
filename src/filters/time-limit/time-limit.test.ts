import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as later } from 'node:timers/promises';
import { openOver, openPlugin } from '../../../test/contract/open.ts';

test('requests after the time end the connection', async () => {
  const ends: (boolean | undefined)[] = [];
  const memory = await openPlugin('memory', '1M');
  const disconnect = (force?: boolean) => void ends.push(force);
  const device = await openOver(memory, 'time-limit timelimit=1ms', { disconnect });
  await later(5);
  assert.throws(() => device.read(0n, 1), { errno: 'ESHUTDOWN' });
  await device.flush!();
  assert.deepEqual(ends, [true]);
  await (await openOver(memory, 'time-limit', { disconnect })).read(0n, 1);
  assert.equal(await openOver(memory, 'time-limit time-limit=0'), memory);
});
