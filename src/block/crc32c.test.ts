import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c, crc32cOfWord } from './crc32c.ts';

const sum = (bytes: Uint8Array) => ~crc32c(0xffffffff, bytes) >>> 0;

test('the check values of RFC 3720, and the sum of a sum', () => {
  assert.equal(sum(Buffer.from('123456789')), 0xe3069283);
  assert.equal(sum(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(sum(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(sum(Buffer.from(Array.from({ length: 32 }, (_, byte) => byte))), 0x46dd794e);
  const bytes = Buffer.from('in parts of any length');
  for (let at = 0; at <= bytes.length; at++) {
    const before = crc32c(7, bytes.subarray(0, at));
    assert.equal(crc32c(before, bytes.subarray(at)), crc32c(7, bytes));
  }
  assert.equal(crc32cOfWord(5, 0x04030201), crc32c(5, Buffer.from([1, 2, 3, 4])));
});
