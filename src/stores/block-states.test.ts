import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../testing/model.ts';
import { BlockStates, PAGE } from './block-states.ts';

const BLOCKS = 6 * PAGE;

test('ranges of any length: as one number for each block', () => {
  const random = new Random(1);
  for (let round = 0; round < 20; round++) {
    const states = new BlockStates();
    const model = new Uint8Array(BLOCKS);
    for (let step = 0; step < 40; step++) {
      const unit = random.below(2) === 0 ? PAGE : 1;
      const [a, b] = [
        random.below(BLOCKS / unit + 1) * unit,
        random.below(BLOCKS / unit + 1) * unit,
      ];
      const [first, end, state] = [Math.min(a, b), Math.max(a, b), random.below(4)];
      states.set(first, end, state);
      model.fill(state, first, end);
      const block = random.below(BLOCKS);
      const what = `round ${round}, step ${step}, block ${block}`;
      assert.equal(states.get(block), model[block], what);
      const run = model.subarray(block).findIndex(each => each !== model[block]);
      assert.equal(states.runEnd(block, BLOCKS), run < 0 ? BLOCKS : block + run, what);
      const found = model.indexOf(3, block);
      const wanted = (each: number) => each === 3;
      assert.equal(states.find(block, BLOCKS, wanted), found < 0 ? BLOCKS : found, what);
    }
  }
});

test('a vast disk of one state', () => {
  const states = new BlockStates();
  const end = 2 ** 47;
  states.set(5, end, 1);
  assert.equal(states.runEnd(5, end), end);
  states.set(2 ** 40, 2 ** 40 + 1, 2);
  assert.equal(states.runEnd(5, end), 2 ** 40);
  assert.equal(
    states.find(5, end, state => state === 2),
    2 ** 40,
  );
  states.set(0, end, 0);
  assert.equal(states.runEnd(0, end), end);
});
