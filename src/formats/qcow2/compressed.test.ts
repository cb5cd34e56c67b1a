import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingMemory, makeImage } from '../../../test/peer/images.ts';
import { readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';

const CLUSTER = 65536;
const SIZE = 4n << 20n;

async function image() {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'qcow2', SIZE);
  const { device, compressed, check } = await openImage(
    { device: file },
    { format: 'qcow2', readOnly: false },
  );
  return { device, compressed: compressed!, check: check! };
}

const text = (words: string) => Buffer.alloc(CLUSTER, words);

test('qcow2: compressed clusters are replaced again and again', async () => {
  const { device, compressed, check } = await image();
  for (let round = 0; round < 12; round++) {
    for (const [index, words] of [`one ${round}`, `two ${round}`].entries()) {
      const at = BigInt(index * CLUSTER);
      await compressed.write!(at, text(words));
      assert.ok((await readBytes(device, at, CLUSTER)).equals(text(words)), `round ${round}`);
    }
    if (round % 3 === 0) await device.flush!();
    // As a whole, and then compressed again where it may have been before.
    if (round % 4 === 1) await device.write!(0n, Buffer.alloc(CLUSTER, round));
    if (round % 4 === 1) await device.flush!();
  }
  await device.flush!();
  const { corruptions, errors, leaks } = await check();
  assert.deepEqual([corruptions, errors, leaks], [0, 0, 0]);
});

test('qcow2: what is compressed is read as it is while others take its place', async () => {
  const { device, compressed } = await image();
  await compressed.write!(0n, text('before'));
  assert.ok((await readBytes(device, 0n, CLUSTER)).equals(text('before')));
  await device.trim!(0n, CLUSTER);
  await device.flush!();
  await compressed.write!(BigInt(CLUSTER), text('after'));
  await device.flush!();
  assert.ok((await readBytes(device, BigInt(CLUSTER), CLUSTER)).equals(text('after')));
  assert.ok((await readBytes(device, 0n, CLUSTER)).equals(Buffer.alloc(CLUSTER)));
});
