import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError } from './errors.ts';
import { retrying } from './retrying.ts';

/** Fails so many times, then answers. */
function failing(times: number) {
  let count = 0;
  return () => {
    count += 1;
    if (count <= times) throw new BlockError('EIO', `failure ${count}`);
    return count;
  };
}

function patience(retries: number, growth = 2) {
  const said: string[] = [];
  return { retries, delay: 1, growth, debug: (message: string) => void said.push(message), said };
}

test('what is there at once is answered at once', () => {
  assert.equal(retrying('read', patience(5), failing(0)), 1);
});

test('tries again as often as it is told, and waits longer each time', async () => {
  const patient = patience(3);
  assert.equal(await retrying('read', patient, failing(3)), 4);
  const waits = patient.said.filter(line => line.startsWith('retry'));
  assert.deepEqual(waits, [
    'retry 1: waiting 0.001 seconds before retrying',
    'retry 2: waiting 0.002 seconds before retrying',
    'retry 3: waiting 0.004 seconds before retrying',
  ]);
});

test('gives up with the last error', async () => {
  const patient = patience(2);
  await assert.rejects(async () => await retrying('read', patient, failing(9)), /failure 3/);
  assert.equal(patient.said.at(-1), 'could not recover after 2 retries');
  await assert.rejects(async () => await retrying('read', patience(0), failing(9)), /failure 1/);
});

test('recovering comes before each attempt, and may fail as one', async () => {
  const act = failing(1);
  const recover = failing(2);
  const result = retrying('read', patience(3), act, { recover: async () => void recover() });
  assert.equal(await result, 2);
  assert.equal(recover(), 4);
});

test('stops for what is there to stay, and when nobody waits', async () => {
  const isFinal = (error: unknown) => (error as Error).message === 'failure 2';
  const result = async () => await retrying('read', patience(9), failing(9), { isFinal });
  await assert.rejects(result, /failure 2/);
  const gone = new AbortController();
  const slow = { ...patience(9), delay: 100_000 };
  const waiting = retrying('read', slow, failing(9), { signal: gone.signal });
  gone.abort(new Error('the client is gone'));
  await assert.rejects(async () => await waiting, /the client is gone/);
});
