import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Random } from '../testing/model.ts';
import { BlockCache, Budget } from './block-cache.ts';
import type { RequestOptions } from './device.ts';

const block = (length: number, byte = 0) => Buffer.alloc(length, byte);

/** Work that the test finishes. */
function work() {
  const started: { resolve(value: Buffer): void; reject(error: Error): void }[] = [];
  const signals: AbortSignal[] = [];
  const make = ({ signal }: RequestOptions) => {
    signals.push(signal!);
    return new Promise<Buffer>((resolve, reject) => started.push({ resolve, reject }));
  };
  return { started, signals, make };
}

describe('block cache', () => {
  test('what is ready is answered at once, and kept', () => {
    const cache = new BlockCache<string, Buffer, Buffer>(new Budget(100));
    const made = cache.get('a', () => block(10));
    assert.equal(
      cache.get('a', () => assert.fail('it is known')),
      made,
    );
    cache.delete('a');
    assert.notEqual(
      cache.get('a', () => block(10)),
      made,
    );
    cache.clear();
    assert.notEqual(
      cache.get('a', () => block(10)),
      made,
    );
  });

  test('the least recently used go first, of all caches that share a budget', () => {
    const budget = new Budget(30);
    const one = new BlockCache<number, Buffer, Buffer>(budget);
    const other = new BlockCache<number, Buffer, Buffer>(budget);
    const makes: string[] = [];
    const get = (cache: typeof one, key: number, length = 10) => {
      const name = cache === one ? 'one' : 'other';
      cache.get(key, () => {
        makes.push(`${name} ${key}`);
        return block(length);
      });
    };
    get(one, 1);
    get(other, 1);
    get(one, 2);
    get(one, 1);
    get(other, 2);
    assert.deepEqual(makes.splice(0), ['one 1', 'other 1', 'one 2', 'other 2']);
    for (const key of [1, 2]) get(one, key);
    get(other, 2);
    assert.deepEqual(makes.splice(0), []);
    get(other, 1);
    assert.deepEqual(makes.splice(0), ['other 1']);
    get(other, 9, 31);
    get(other, 9, 31);
    assert.deepEqual(makes.splice(0), ['other 9', 'other 9'], 'more than the budget is not kept');
  });

  test('never more than the budget', () => {
    const random = new Random(5);
    const budget = new Budget(1000);
    const caches = [1, 2, 3].map(() => new BlockCache<number, Buffer, Buffer>(budget));
    for (let step = 0; step < 2000; step++) {
      const which = random.below(3);
      const key = random.below(30);
      if (random.below(10) === 0) caches[which]!.delete(key);
      else caches[which]!.get(key, () => block(random.below(400)));
    }
    // Whatever was kept is found again without being made; nothing else is.
    let bytes = 0;
    for (const [which, cache] of caches.entries()) {
      for (let key = 0; key < 30; key++) {
        const missing = {};
        try {
          bytes += cache.get(key, () => {
            throw missing;
          }).length;
        } catch (error) {
          assert.equal(error, missing, `${which}`);
        }
      }
    }
    assert.ok(bytes > 0 && bytes <= 1000, `${bytes} bytes`);
  });

  test('made once for all who ask meanwhile', async () => {
    const cache = new BlockCache<string, Buffer>(new Budget(100));
    const { started, make } = work();
    const answers = [cache.get('a', make), cache.get('a', make), cache.get('b', make)];
    assert.equal(started.length, 2);
    started[0]!.resolve(block(3, 1));
    started[1]!.resolve(block(3, 2));
    const [first, second, third] = await Promise.all(answers);
    assert.equal(first, second);
    assert.equal(third![0], 2);
    assert.equal(cache.get('a', make), first);
  });

  test('a failure is everybody’s, and not kept', async () => {
    const cache = new BlockCache<string, Buffer>(new Budget(100));
    const { started, make } = work();
    const answers = [cache.get('a', make), cache.get('a', make)];
    started[0]!.reject(new Error('no'));
    for (const answer of answers) await assert.rejects(async () => await answer, /no/);
    const again = cache.get('a', make);
    started[1]!.resolve(block(1, 9));
    assert.equal((await again)[0], 9);
    const throwing = () => assert.fail('at once');
    assert.throws(() => cache.get('b', throwing), /at once/);
    assert.throws(() => cache.get('b', throwing), /at once/);
  });

  test('one who gives up does not fail the others; the last one ends the work', async () => {
    const cache = new BlockCache<string, Buffer>(new Budget(100));
    const { started, signals, make } = work();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = cache.get('a', make, { signal: one.signal });
    const second = cache.get('a', make, { signal: two.signal });
    one.abort(new Error('one'));
    await assert.rejects(async () => await first, /one/);
    assert.ok(!signals[0]!.aborted);
    two.abort(new Error('two'));
    await assert.rejects(async () => await second, /two/);
    assert.ok(signals[0]!.aborted);
    const third = cache.get('a', make);
    started[0]!.reject(new Error('aborted'));
    started[1]!.resolve(block(1, 3));
    assert.equal((await third)[0], 3);
  });

  test('what is deleted while it is made is not kept', async () => {
    const cache = new BlockCache<string, Buffer>(new Budget(100));
    for (const forget of [() => cache.delete('a'), () => cache.clear()]) {
      const { started, make } = work();
      const old = cache.get('a', make);
      forget();
      const fresh = cache.get('a', make);
      started[1]!.resolve(block(1, 2));
      started[0]!.resolve(block(1, 1));
      assert.deepEqual([(await old)[0], (await fresh)[0]], [1, 2]);
      assert.equal(cache.get('a', make), await fresh);
      cache.clear();
      await turn();
    }
  });
});
