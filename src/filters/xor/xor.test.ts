import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { supportOf } from '../../block/support.ts';
import { readBytes } from '../../testing/model.ts';

async function hexOf(words: string, offset = 0n): Promise<string> {
  const device = await openOver(new StrictDevice(Buffer.alloc(64)), `xor ${words}`);
  return (await readBytes(device, offset, 7)).toString('hex');
}

test('a number of one to eight bytes is repeated, its first byte first', async () => {
  assert.equal(await hexOf('xor=255'), 'ffffffffffffff');
  assert.equal(await hexOf('xor=0x123'), '01230123012301');
  assert.equal(await hexOf('xor=0x123', 1n), '23012301230123');
  assert.equal(await hexOf('xor=1 xorlen=3'), '00000100000100');
  assert.equal(await hexOf('xor=0 xorlen=8'), '00000000000000');
});

test('random bytes follow from the seed and the place', async () => {
  const bytes = await hexOf('xor=rand:5');
  assert.equal(await hexOf('xor=rand:5'), bytes);
  assert.notEqual(await hexOf('xor=rand:6'), bytes);
  assert.equal((await hexOf('xor=rand:5', 2n)).slice(0, 10), bytes.slice(4));
});

test('zeroes are written, and extents say nothing of zeroes', async () => {
  const memory = await openPlugin('memory', '1M');
  const device = await openOver(memory, 'xor xor=0x55');
  assert.equal(device.zero, undefined);
  assert.equal(supportOf(device).zero, 'emulated');
  assert.deepEqual(await device.extents!(0n, 100), [{ length: 100, hole: true, zero: false }]);
  await device.write!(0n, Buffer.alloc(4));
  assert.equal((await readBytes(memory, 0n, 4)).toString('hex'), '55555555');
});

test('what is no value', async () => {
  const memory = await openPlugin('memory', '1M');
  for (const [words, message] of [
    ['xor=x', /^xor: cannot parse 'x': expected a number, rand or rand:SEED$/],
    ['xor=256 xorlen=1', /^xor: 256 has 2 bytes, more than xorlen=1$/],
    ['xor=0x112233445566778899', /has 9 bytes, more than 8 bytes/],
    ['xor=rand xorlen=8', /does not go with/],
    ['xor=rand:x', /cannot parse 'x'/],
  ] as const) {
    await assert.rejects(openOver(memory, `xor ${words}`), { name: 'UsageError', message });
  }
});
