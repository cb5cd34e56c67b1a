import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous, isZero } from '../../block/data.ts';
import { fileDevice } from './device.ts';
import { openFile } from './open.ts';

test('a file is made longer, with zeroes, and shorter', async t => {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, Buffer.alloc(10_000, 1));
  const device = fileDevice(openFile(path, false));
  await device.resize!(1n << 20n);
  assert.equal(device.size, 1n << 20n);
  assert.equal(statSync(path).size, 1 << 20);
  assert.ok(isZero(contiguous(await device.read(12_288n, 4096))));
  assert.deepEqual((await device.extents!(12_288n, 4096))[0]?.zero, true);
  await device.write!(1_000_000n, Buffer.alloc(4096, 2));
  assert.equal(contiguous(await device.read(1_004_000n, 1))[0], 2);
  await device.resize!(100n);
  assert.equal(device.size, 100n);
  await device.resize!(10_000n);
  assert.equal(contiguous(await device.read(100n, 1))[0], 0);
  await assert.rejects(async () => device.resize!(2n ** 60n), { errno: 'ENOSPC' });
  assert.equal(device.size, 10_000n);
  await device.close!();
});
