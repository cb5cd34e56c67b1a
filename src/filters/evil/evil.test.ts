import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { readBytes } from '../../testing/model.ts';

const SIZE = 1 << 20;

async function opened(words: string) {
  return await openOver(await openPlugin('ones', String(SIZE), 'byte=0x0f'), `evil ${words}`);
}

/** How many bits of a read are wrong. */
function wrongBits(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) {
    for (let changed = byte ^ 0x0f; changed !== 0; changed &= changed - 1) count += 1;
  }
  return count;
}

const about = (count: number, expected: number) =>
  assert.ok(count > expected * 0.8 && count < expected * 1.2, `${count}, expected ${expected}`);

test('stuck bits are where they are, however they are read', async () => {
  const device = await opened('evil-probability=1e-3 evil-seed=1');
  const all = await readBytes(device, 0n, SIZE);
  about(wrongBits(all), SIZE * 8e-3 * 0.5);
  assert.ok((await readBytes(device, 0n, SIZE)).equals(all));
  for (const [start, length] of [
    [1, 1],
    [70_001, 100_000],
    [SIZE - 1, 1],
  ] as const) {
    const part = await readBytes(device, BigInt(start), length);
    assert.ok(part.equals(all.subarray(start, start + length)), `${length} at ${start}`);
  }
  const other = await readBytes(await opened('evil-probability=1e-3 evil-seed=2'), 0n, SIZE);
  assert.ok(!other.equals(all));
});

test('stuck bits that do not always show it', async () => {
  const words = 'evil-probability=1e-3 evil-stuck-probability=50% evil-seed=1';
  const device = await opened(words);
  const all = await readBytes(device, 0n, SIZE);
  about(wrongBits(all), SIZE * 8e-3 * 0.25);
  assert.ok(!(await readBytes(device, 0n, SIZE)).equals(all));
});

test('stuck wires are at the same place of each read', async () => {
  const device = await opened('evil=stuck-wires evil-probability=1e-3 evil-seed=1');
  const first = await readBytes(device, 0n, 50_000);
  assert.ok(wrongBits(first) > 0);
  assert.ok((await readBytes(device, 12_345n, 50_000)).equals(first));
});

test('cosmic rays strike anywhere', async () => {
  const device = await opened('evil=cosmic-rays evil-probability=1:1000 evil-seed=1');
  const first = await readBytes(device, 0n, SIZE);
  about(wrongBits(first), SIZE * 8e-3);
  assert.ok(!(await readBytes(device, 0n, SIZE)).equals(first));
});

test('nothing or everything', async () => {
  const none = await opened('evil-probability=0');
  assert.equal(wrongBits(await readBytes(none, 0n, SIZE)), 0);
  const every = await opened('evil=cosmic-rays evil-probability=1');
  assert.equal(wrongBits(await readBytes(every, 0n, 1000)), 8000);
});

test('what is written is not changed', async () => {
  const memory = await openPlugin('memory', '1M');
  const device = await openOver(memory, 'evil evil=cosmic-rays evil-probability=1');
  await device.write!(0n, Buffer.of(5));
  assert.deepEqual([...(await readBytes(memory, 0n, 1))], [5]);
});
