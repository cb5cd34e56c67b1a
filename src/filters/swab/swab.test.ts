import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

const WORD = Buffer.from('01020304050607', 'hex');

for (const [bits, expected] of [
  ['8', '01020304050607'],
  ['16', '020104030605'],
  ['32', '04030201'],
] as const) {
  test(`words of ${bits} bits, and no half word at the end`, async () => {
    const device = await openOver(new StrictDevice(Buffer.from(WORD)), `swab swab-bits=${bits}`);
    assert.equal(device.size, BigInt(expected.length / 2));
    assert.equal((await readBytes(device, 0n, Number(device.size))).toString('hex'), expected);
  });
}

test('what is written comes back, turned around below', async () => {
  const disk = new StrictDevice(Buffer.alloc(16));
  const device = await openOver(disk, 'swab swab-bits=64');
  await device.write!(8n, Buffer.from('0102030405060708', 'hex'));
  assert.equal(disk.bytes.toString('hex', 8), '0807060504030201');
  assert.equal(device.blockSize?.minimum, 8);
  await device.zero!(8n, 8);
  assert.equal(disk.bytes[8], 0);
});

test('a disk of blocks stays one', async () => {
  const blockSize = { minimum: 512, preferred: 4096, maximum: 65536 };
  const disk = new StrictDevice(Buffer.alloc(1024), { blockSize });
  const device = await openOver(disk, 'swab');
  assert.deepEqual(device.blockSize, { ...blockSize, advisory: false });
  assert.equal((await openOver(await openPlugin('memory', '4k'), 'swab')).blockSize?.minimum, 2);
});
