import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

async function sizeOf(size: string, words: string): Promise<bigint> {
  return (await openOver(await openPlugin('memory', size), `truncate ${words}`)).size;
}

test('the new size', async () => {
  assert.equal(await sizeOf('1000', 'truncate=100'), 100n);
  assert.equal(await sizeOf('1000', 'truncate=0'), 0n);
  assert.equal(await sizeOf('1000', 'round-up=512'), 1024n);
  assert.equal(await sizeOf('1000', 'round-down=512'), 512n);
  assert.equal(await sizeOf('1000', 'truncate=1025 round-up=512 round-down=1024'), 1024n);
  assert.equal(await sizeOf('0', 'truncate=7E'), 7n << 60n);
  await assert.rejects(sizeOf('9223372036854775807', 'round-up=4k'), {
    message: 'cannot round size 9223372036854775807 up to next boundary of 4096',
  });
});

test('only powers of two are rounded to', async () => {
  for (const key of ['round-up', 'round-down']) {
    await assert.rejects(sizeOf('1000', `${key}=1000`), {
      name: 'UsageError',
      message: `the ${key} parameter must be a power of 2`,
    });
  }
});

test('past the end of the disk are zeroes, and only zeroes can be written there', async () => {
  const disk = new StrictDevice(Buffer.alloc(1000, 7));
  const device = await openOver(disk, 'truncate truncate=2000');
  assert.deepEqual(
    await readBytes(device, 998n, 4),
    Buffer.concat([Buffer.alloc(2, 7), Buffer.alloc(2)]),
  );
  await device.write!(990n, Buffer.concat([Buffer.alloc(10, 1), Buffer.alloc(20)]));
  await assert.rejects(async () => await device.write!(1999n, Buffer.of(1)), {
    errno: 'ENOSPC',
    message: 'truncate: write beyond end of underlying device',
  });
  await device.zero!(900n, 1100);
  assert.deepEqual(
    disk.bytes.subarray(890),
    Buffer.concat([Buffer.alloc(10, 7), Buffer.alloc(100)]),
  );
  assert.deepEqual(await device.extents!(999n, 100), [
    { length: 1, hole: false, zero: false },
    { length: 99, hole: true, zero: true },
  ]);
});
