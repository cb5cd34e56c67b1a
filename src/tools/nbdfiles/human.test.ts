import assert from 'node:assert/strict';
import { test } from 'node:test';
import { humanReadable } from './human.ts';

test('sizes as df -h has them', () => {
  for (const [bytes, text] of [
    [0, '0'],
    [1023, '1023'],
    [1024, '1.0K'],
    [1536, '1.5K'],
    [10 * 1024 - 1, '10K'],
    [10 * 1024, '10K'],
    [484 * 2 ** 20, '484M'],
    [7.4 * 2 ** 30, '7.4G'],
    [1024 * 1024 - 1, '1.0M'],
    [2 ** 60, '1.0E'],
  ] as const) {
    assert.equal(humanReadable(BigInt(Math.round(bytes))), text, String(bytes));
  }
});
