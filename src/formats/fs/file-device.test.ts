import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contiguous } from '../../block/data.ts';
import { bytesDevice, fileDevice, inRuns, type Run } from './file-device.ts';

const disk = bytesDevice(Buffer.from('0123456789'));
const runs: readonly Run[] = [
  { start: 0n, end: 3n, from: disk, at: 5n },
  { start: 3n, end: 5n },
  { start: 5n, end: 8n, from: disk, at: 1n },
];

test('runs one after the other, in memory of their own or in what is lent', async () => {
  const file = fileDevice(8n, inRuns(runs));
  const lent = Buffer.alloc(8, '?');
  for (const memory of [undefined, (length: number) => lent.subarray(0, length)]) {
    const read = await file.read(0n, 8, { memory });
    assert.equal(Buffer.from(contiguous(read)).toString(), '567\0\x00123');
  }
  assert.equal(Buffer.from(contiguous(await file.read(6n, 2))).toString(), '23');
});

test('a file that is longer than its parts', async () => {
  for (const list of [[], runs]) {
    const file = fileDevice(20n, inRuns(list));
    await assert.rejects(async () => file.read(7n, 4), {
      errno: 'EIO',
      message: /none of its parts/,
    });
    await assert.rejects(async () => file.extents!(9n, 4), { errno: 'EIO' });
  }
});
