import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../testing/model.ts';
import { xorBytes } from './xor-bytes.ts';

test('bytes and masks of any place and length', () => {
  const random = new Random(1);
  for (let round = 0; round < 200; round++) {
    const length = random.below(50);
    const place = () => {
      const start = random.below(9);
      return new Uint8Array(random.bytes(start + length + 3)).subarray(start, start + length);
    };
    const bytes = place();
    const mask = place();
    const expected = bytes.map((byte, at) => byte ^ mask[at]!);
    const maskBefore = Uint8Array.from(mask);
    xorBytes(bytes, mask);
    assert.deepEqual(bytes, expected);
    assert.deepEqual(mask, maskBefore);
  }
});
