import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { contiguous, isZero } from '../../block/data.ts';
import type { BlockDevice, Extent } from '../../block/device.ts';

async function runsOf(device: BlockDevice): Promise<Extent[]> {
  const runs: Extent[] = [];
  for (let offset = 0n; offset < device.size; ) {
    const length = Number(device.size - offset);
    for (const run of await device.extents!(offset, length)) {
      runs.push(run);
      offset += BigInt(run.length);
    }
  }
  return runs;
}

const SHAPES: readonly (readonly [words: string, share: number, run: number])[] = [
  ['1T', 0.1, 16 << 20],
  ['20G percent=50 runlength=1M', 0.5, 1 << 20],
  ['20G percent=90 runlength=64k', 0.9, 65536],
  ['10T percent=1 runlength=128M', 0.01, 128 << 20],
];

for (const [words, share, length] of SHAPES) {
  test(`share and run length hold: ${words}`, async () => {
    const device = await openPlugin('sparse-random', ...words.split(' '), 'seed=1');
    const data = (await runsOf(device)).filter(run => !run.hole).map(run => run.length);
    const sum = data.reduce((total, run) => total + run, 0);
    const found = sum / Number(device.size);
    assert.ok(Math.abs(found / share - 1) < 0.1, `share of data ${found}`);
    // Runs that meet where pieces of the answer do are counted twice; a tenth allows for it.
    const mean = sum / data.length;
    assert.ok(Math.abs(mean / length - 1) < 0.1, `run length ${mean}`);
  });
}

test('all or nothing', async () => {
  const empty = await openPlugin('sparse-random', '1T', 'percent=0');
  assert.deepEqual(await runsOf(empty), [{ length: 2 ** 40, hole: true, zero: true }]);
  const full = await openPlugin('sparse-random', '1T', 'percent=100');
  assert.deepEqual(await runsOf(full), [{ length: 2 ** 40, hole: false, zero: false }]);
});

test('a seed gives the same disk for ever', async () => {
  const hash = createHash('sha256');
  const device = await openPlugin('sparse-random', '2G', 'seed=1', 'runlength=1M');
  for (const run of await runsOf(device)) hash.update(`${run.length} ${run.hole}\n`);
  hash.update(contiguous(await device.read(100n << 20n, 32 << 20)));
  assert.equal(hash.digest('hex').slice(0, 16), '7c06705d02ad05fc');
});

test('each block repeats one byte that is not zero', async () => {
  const device = await openPlugin('sparse-random', '1G', 'seed=1', 'percent=100');
  const bytes = contiguous(await device.read(0n, 1 << 20));
  const seen = new Set<number>();
  for (let at = 0; at < bytes.length; at += 4096) {
    const byte = bytes[at]!;
    assert.ok(Buffer.alloc(4096, byte).equals(bytes.subarray(at, at + 4096)));
    assert.notEqual(byte, 0);
    seen.add(byte);
  }
  assert.ok(seen.size > 100, `${seen.size} bytes in 256 blocks`);
});

test('with random content every byte is random', async () => {
  const words = ['1G', 'seed=1', 'percent=100', 'random-content=true'];
  const device = await openPlugin('sparse-random', ...words);
  const bytes = contiguous(await device.read(12_345n, 65_536));
  assert.ok(new Set(bytes).size === 256);
});

test('a copy of itself passes, anything else is EIO at its offset', async () => {
  const device = await openPlugin('sparse-random', '1G', 'seed=5', 'percent=50', 'runlength=1M');
  let offset = 0n;
  for (const run of (await runsOf(device)).slice(0, 20)) {
    if (run.hole) {
      await device.zero!(offset, run.length, { mayTrim: true });
      await device.trim!(offset, run.length);
      await device.write!(offset, Buffer.alloc(4096));
    } else {
      await device.write!(offset, contiguous(await device.read(offset, run.length)));
      const trimmed = { errno: 'EIO', offset };
      await assert.rejects(async () => await device.trim!(offset, run.length), trimmed);
      await assert.rejects(async () => await device.zero!(offset, run.length), trimmed);
    }
    const bytes = Buffer.from(contiguous(await device.read(offset, 4096)));
    assert.equal(isZero(bytes), run.hole);
    bytes[4095] = bytes[4095]! ^ 1;
    await assert.rejects(async () => await device.write!(offset, bytes), {
      errno: 'EIO',
      offset: offset + 4095n,
    });
    offset += BigInt(run.length);
  }
});

test('data in the wrong place is noticed', async () => {
  const device = await openPlugin('sparse-random', '1T', 'seed=1', 'percent=100');
  const bytes = contiguous(await device.read(0n, 256 << 10));
  for (let place = 1n; place <= 200n; place++) {
    await assert.rejects(async () => await device.write!(place << 18n, bytes), { errno: 'EIO' });
  }
});

test('parameters are checked', async () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['percent=101', /percent: '101' is too large: expected at most 100/],
    ['runlength=0', /runlength: '0' is too small/],
    ['seed=x', /seed: cannot parse 'x'/],
    ['random-content=maybe', /random-content: cannot parse 'maybe'/],
  ];
  for (const [word, message] of wrong) {
    await assert.rejects(openPlugin('sparse-random', '1M', word), { name: 'UsageError', message });
  }
});
