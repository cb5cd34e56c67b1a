import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Background } from './background.ts';
import { sleep } from './sleep.ts';

test('work is given up at the end, which waits for it', async () => {
  const background = new Background();
  const notes: string[] = [];
  background.start(async ({ signal }) => {
    await sleep(60_000, signal).catch(() => {});
    await sleep(1);
    notes.push('given up');
  });
  background.start(() => {
    notes.push('began at once');
    throw new Error('nobody cares');
  });
  assert.deepEqual(notes, ['began at once']);
  await background.end();
  assert.deepEqual(notes, ['began at once', 'given up']);
  background.start(() => notes.push('too late'));
  assert.equal(notes.length, 2);
});
