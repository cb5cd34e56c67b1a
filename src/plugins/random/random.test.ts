import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';

async function digest(...words: string[]): Promise<string> {
  const device = await openPlugin('random', '10M', ...words);
  const bytes = contiguous(await device.read(12_345n, 3_000_000));
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

test('a seed gives the same disk for ever', async () => {
  assert.equal(await digest('seed=1'), '0f7575065cd34dc0');
  assert.equal(await digest('seed=0x1'), await digest('seed=01'));
  assert.notEqual(await digest('seed=1'), await digest('seed=2'));
});

test('no seed gives another one every time', async () => {
  assert.notEqual(await digest(), await digest());
});

test('the disk is one sequence, and far parts of it differ', async () => {
  const device = await openPlugin('random', '8000000000G', 'seed=3');
  const here = Buffer.from(contiguous(await device.read(0n, 4096)));
  const there = Buffer.from(contiguous(await device.read(2n ** 40n, 4096)));
  assert.equal(here.equals(there), false);
});

test('trimming and zeroing would change it', async () => {
  const device = await openPlugin('random', '1M');
  await assert.rejects(async () => await device.trim!(0n, 512), { errno: 'EIO' });
  await assert.rejects(async () => await device.zero!(0n, 512), { errno: 'EIO' });
});

test('seeds are numbers of 64 bits', async () => {
  await openPlugin('random', '1M', 'seed=18446744073709551615');
  for (const seed of ['18446744073709551616', 'x', '', '-1', '08', '1.5']) {
    await assert.rejects(openPlugin('random', '1M', `seed=${seed}`), {
      name: 'UsageError',
      message: /^seed: cannot parse '.*': expected a whole number from 0 to 2\^64-1$/,
    });
  }
});
