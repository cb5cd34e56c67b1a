import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutAtRanges, inOrder, overlap, union } from './ranges.ts';

const range = (start: number, end: number) => ({ start: BigInt(start), end: BigInt(end) });

test('ranges that overlap or touch become one', () => {
  assert.deepEqual(union([range(10, 20), range(0, 5), range(5, 7), range(12, 15)]), [
    range(0, 7),
    range(10, 20),
  ]);
});

test('a request is cut at the borders', () => {
  const ordered = [range(10, 20), range(20, 21), range(30, 40)];
  const cut = cutAtRanges(ordered, 5n, 30).map(piece => [
    Number(piece.offset),
    piece.length,
    piece.range && ordered.indexOf(piece.range),
  ]);
  assert.deepEqual(cut, [
    [5, 5, undefined],
    [10, 10, 0],
    [20, 1, 1],
    [21, 9, undefined],
    [30, 5, 2],
  ]);
  assert.deepEqual(cutAtRanges(ordered, 35n, 2), [
    { offset: 35n, length: 2, range: range(30, 40) },
  ]);
  assert.deepEqual(cutAtRanges([], 7n, 3), [{ offset: 7n, length: 3, range: undefined }]);
});

test('the first two that overlap', () => {
  assert.equal(overlap(inOrder([range(5, 6), range(0, 5)])), undefined);
  assert.deepEqual(overlap(inOrder([range(4, 6), range(0, 5)])), [range(0, 5), range(4, 6)]);
});
