import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Random } from '../testing/model.ts';
import { RangeLock, type Release } from './range-lock.ts';

const held = (lock: Release | Promise<Release>): Release => {
  assert.equal(typeof lock, 'function', 'it is had at once');
  return lock as Release;
};
/** Notes its name when it has the lock. */
const noting = (notes: string[], name: string, lock: Release | Promise<Release>) => {
  assert.ok(lock instanceof Promise, `${name} waits`);
  return lock.then(release => {
    notes.push(name);
    return release;
  });
};

describe('range locks', () => {
  test('are had at once where nobody is in the way', () => {
    const locks = new RangeLock();
    held(locks.exclusive(0n, 10));
    held(locks.exclusive(10n, 10));
    held(locks.shared(20n, 10));
    held(locks.shared(25n, 10));
    held(locks.exclusive(2n ** 63n - 2n, 1));
  });

  test('first come, first served', async () => {
    const locks = new RangeLock();
    const notes: string[] = [];
    const first = held(locks.shared(0n, 10));
    const writer = noting(notes, 'writer', locks.exclusive(5n, 10));
    const reader = noting(notes, 'reader', locks.shared(9n, 1));
    held(locks.shared(0n, 5));
    await turn();
    assert.deepEqual(notes, []);
    first();
    first();
    const release = await writer;
    await turn();
    assert.deepEqual(notes, ['writer']);
    release();
    await reader;
    assert.deepEqual(notes, ['writer', 'reader']);
  });

  test('who gives up is forgotten and in nobody’s way', async () => {
    const locks = new RangeLock();
    const first = held(locks.shared(0n, 10));
    const patience = new AbortController();
    const writer = locks.exclusive(0n, 10, patience.signal);
    const reader = noting([], 'reader', locks.shared(0n, 10));
    patience.abort(new Error('enough'));
    await assert.rejects(async () => await writer, /enough/);
    (await reader)();
    await assert.rejects(async () => await locks.exclusive(0n, 1, patience.signal), /enough/);
    first();
    held(locks.exclusive(0n, 10));
  });

  test('under contention nobody is where somebody else is alone, and all get their turn', async () => {
    const random = new Random(3);
    const locks = new RangeLock();
    /** Per byte: how many share it, or -1. */
    const users = new Int32Array(64);
    let gaveUp = 0;
    const worker = async () => {
      for (let step = 0; step < 60; step++) {
        const start = random.below(64);
        const length = 1 + random.below(64 - start);
        const alone = random.below(2) === 0;
        const patience = random.below(4) === 0 ? new AbortController() : undefined;
        if (patience) setImmediate(() => patience.abort());
        const take = alone ? locks.exclusive : locks.shared;
        let release: Release;
        try {
          release = await take.call(locks, BigInt(start), length, patience?.signal);
        } catch {
          gaveUp += 1;
          continue;
        }
        const range = users.subarray(start, start + length);
        assert.ok(range.every(count => (alone ? count === 0 : count >= 0)));
        for (const at of range.keys()) range[at] = alone ? -1 : range[at]! + 1;
        for (let turns = random.below(3); turns > 0; turns--) await turn();
        for (const at of range.keys()) range[at] = alone ? 0 : range[at]! - 1;
        release();
      }
    };
    await Promise.all(Array.from({ length: 12 }, worker));
    assert.ok(gaveUp > 0);
    held(locks.exclusive(0n, 64));
  });
});
