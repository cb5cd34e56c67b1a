import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, compareNames, nameOf } from './names.ts';

test('every byte comes back', () => {
  for (const bytes of [
    Buffer.from('plain'),
    Buffer.from('ümlaut 😀'),
    Buffer.from([0xff, 0x41, 0xc3, 0xbc, 0xc3]),
    Buffer.from([0xed, 0xb3, 0xbf]),
    Buffer.from(Array.from({ length: 255 }, (_, byte) => byte + 1)),
  ]) {
    assert.ok(bytesOf(nameOf(bytes)).equals(bytes), bytes.toString('hex'));
  }
  assert.equal(nameOf(Buffer.from([0xff])), '\udcff');
});

const inBytes = (names: readonly string[]) =>
  [...names].sort((a, b) => Buffer.compare(bytesOf(a), bytesOf(b)));

test('the order of bytes', () => {
  const sorted = ['', 'a', 'ab', 'b', 'ü', '\udcff', '\uffee', '😀', '😁'];
  assert.deepEqual([...sorted].reverse().sort(compareNames), inBytes(sorted));
});
