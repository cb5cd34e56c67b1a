import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ThreadedLock } from './threaded-lock.ts';

/** Locks as two threads have them. */
function two(): [ThreadedLock, ThreadedLock] {
  const one = new ThreadedLock();
  return [one, new ThreadedLock(one.words)];
}

test('threads share, and wait for the one who is alone', async () => {
  const [here, there] = two();
  const shared = await here.shared(0n, 10);
  (await there.shared(0n, 10))();
  let alone = false;
  const waiting = Promise.resolve(there.exclusive(5n, 1)).then(release => {
    alone = true;
    return release;
  });
  await turn();
  assert.equal(alone, false);
  shared();
  const release = await waiting;
  let passed = false;
  const later = Promise.resolve(here.shared(1000n, 1)).then(leave => {
    passed = true;
    leave();
  });
  await turn();
  assert.equal(passed, false);
  release();
  release();
  await later;
  assert.deepEqual([...here.words], [0, 0]);
});

test('whoever waits to be alone is not passed by those who come later', async () => {
  const [here, there] = two();
  const first = await here.shared(0n, 1);
  const order: string[] = [];
  const alone = Promise.resolve(there.exclusive(0n, 1)).then(release => {
    order.push('alone');
    release();
  });
  const shared = Promise.resolve(here.shared(0n, 1)).then(release => {
    order.push('shared');
    release();
  });
  await turn();
  first();
  await Promise.all([alone, shared]);
  assert.deepEqual(order, ['alone', 'shared']);
});

test('nobody waits who has given up', async () => {
  const [here, there] = two();
  const shared = await here.shared(0n, 1);
  const gone = new AbortController();
  const waiting = there.exclusive(0n, 1, gone.signal);
  gone.abort(new Error('gone'));
  await assert.rejects(Promise.resolve(waiting), /gone/);
  (await here.shared(0n, 1))();
  shared();
  (await there.exclusive(0n, 1))();
  assert.deepEqual([...here.words], [0, 0]);
});
