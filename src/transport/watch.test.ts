import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watch } from './watch.ts';

/** How often a fruitless watch has looked. */
function looks(watch: Watch): number {
  let count = 0;
  watch.watch(() => {
    count += 1;
    return -1;
  });
  return count;
}

test('a watch gives back what is found, also nothing more to come', () => {
  const watch = new Watch();
  // A processor that is busy elsewhere may leave time for one look only.
  const found = () => {
    const answers = [-1, -1, 7];
    return watch.watch(() => answers.shift() ?? 0);
  };
  let last = found();
  for (let attempt = 0; last < 0 && attempt < 1000; attempt++) {
    watch.came();
    last = found();
  }
  assert.equal(last, 7);
  assert.equal(
    watch.watch(() => 0),
    0,
  );
});

test('it looks at least once, and ends when nothing is found', () => {
  const watch = new Watch();
  for (let round = 0; round < 20; round++) assert.ok(looks(watch) >= 1);
  watch.came();
  assert.ok(looks(watch) >= 1);
});
