import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKnownZero, zeroes } from '../block/data.ts';
import { gather } from './gather.ts';

/** What comes of views of these lengths; a negative one is known zeroes. */
function shapes(block: number, ...lengths: number[]): string[] {
  let next = 0;
  const views = lengths.map(length =>
    length < 0
      ? (zeroes(-length) as Uint8Array)
      : Buffer.from(Array.from({ length }, () => 1 + (next++ % 250))),
  );
  const gathered = [...gather(views, block)];
  assert.ok(Buffer.concat(gathered).equals(Buffer.concat(views)), 'the bytes stay the same');
  return gathered.map(view => `${view.length}${isKnownZero(view) ? 'z' : ''}`);
}

test('short views are joined to whole blocks, and all that is short into one', () => {
  assert.deepEqual(shapes(8, 1, 2, 3, 2, 4, 4), ['16']);
  assert.deepEqual(shapes(8, 5, 5, 3), ['13']);
  assert.deepEqual(shapes(8), []);
  assert.deepEqual(shapes(8, 0, 0), []);
});

test('known zeroes stay zeroes as far as they are whole blocks', () => {
  assert.deepEqual(shapes(8, 8, -16, 8), ['8', '16z', '8']);
  assert.deepEqual(shapes(8, 3, -24, 5), ['8', '16z', '8']);
  assert.deepEqual(shapes(8, 3, -10, 3), ['16']);
  assert.deepEqual(shapes(8, -8, -8), ['8z', '8z']);
  assert.deepEqual(shapes(1, 3, -2, 3), ['3', '2z', '3']);
  assert.deepEqual(shapes(8, 4, -9), ['13']);
});

test('long views are not copied but for their ragged ends', () => {
  const long = Buffer.alloc(100_000, 7);
  const [all, ...none] = gather([long], 4096);
  assert.equal(all?.buffer, long.buffer);
  assert.equal(all?.length, 98_304);
  assert.deepEqual(
    none.map(({ length }) => length),
    [100_000 - 98_304],
  );
  const [first, second] = gather([Buffer.alloc(96), long], 4096);
  assert.equal(first?.length, 4096);
  assert.equal(second?.buffer, long.buffer);
});
