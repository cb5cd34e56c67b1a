import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from './random.ts';

test('numbers follow from the key', () => {
  const take = (random: Random) => Array.from({ length: 20 }, () => random.next());
  assert.deepEqual(take(new Random('a', 1)), take(new Random('a', 1)));
  assert.notDeepEqual(take(new Random('a', 1)), take(new Random('a', 2)));
  assert.notDeepEqual(take(new Random()), take(new Random()));
});

test('fractions are spread evenly', () => {
  const random = new Random('even');
  const counts = Array<number>(10).fill(0);
  for (let round = 0; round < 10_000; round++) counts[Math.floor(random.fraction() * 10)]! += 1;
  for (const count of counts) assert.ok(count > 850 && count < 1150, `${counts}`);
});
