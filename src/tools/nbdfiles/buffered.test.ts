import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { bytesDevice } from '../../formats/fs/file-device.ts';
import { Random } from '../../testing/model.ts';
import { Buffered } from './buffered.ts';

const LENGTHS = [512, 3_000_000, 1, 1 << 20, 0, 70_000, 1_048_575, 2_000_001];

test('pieces and files of all lengths, in their order', async () => {
  const written: Buffer[] = [];
  const output = new Buffered(async bytes => {
    await setImmediate();
    written.push(Buffer.from(bytes));
  });
  const random = new Random(1);
  const expected: Buffer[] = [];
  for (const length of LENGTHS) {
    for (const add of ['put', 'pour'] as const) {
      const bytes = random.bytes(length);
      expected.push(bytes);
      if (add === 'put') await output.put(bytes);
      else await output.pour(bytesDevice(bytes));
    }
  }
  await output.flush();
  assert.ok(Buffer.concat(written).equals(Buffer.concat(expected)));
  assert.equal(output.total, BigInt(2 * LENGTHS.reduce((sum, length) => sum + length)));
});

test('what cannot be written is told of', async () => {
  const output = new Buffered(() => Promise.reject(new Error('no room')));
  await output.put(Buffer.alloc(1000));
  await assert.rejects(output.flush(), /no room/);
});
