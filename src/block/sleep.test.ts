import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from './sleep.ts';

test('no time is no wait, and whoever leaves does not wait', async () => {
  await sleep(0);
  await sleep(1);
  const gone = new AbortController();
  const waiting = sleep(3e9, gone.signal);
  gone.abort(new Error('gone'));
  await assert.rejects(waiting, /gone/);
});
