import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { Heads, seekTime } from './heads.ts';

const TIMES = { least: 10, half: 200, most: 500 };

test('the curve goes through the three times', () => {
  assert.deepEqual(
    [0, 0.5, 1].map(stroke => Math.round(seekTime(stroke, TIMES))),
    [10, 200, 500],
  );
  assert.equal(seekTime(0.5, { least: 10, half: -100, most: 10 }), 0);
});

/** Whether moves take time; they are given up then. */
async function movesOf(options: { count: number; separate: boolean }, offsets: readonly bigint[]) {
  const heads = new Heads({
    size: 100n << 20n,
    ...options,
    times: { least: 1e6, half: 1e6, most: 1e6 },
  });
  const moved: boolean[] = [];
  for (const offset of offsets) {
    const gone = new AbortController();
    const answer = heads.seek(offset, gone.signal);
    moved.push(answer !== undefined);
    gone.abort();
    await Promise.resolve(answer).catch(() => {});
  }
  return moved;
}

test('near places take no time', async () => {
  const offsets = [0n, 131_072n, 1n << 20n, 1n << 20n, 0n];
  const moved = [false, false, true, false, true];
  assert.deepEqual(await movesOf({ count: 1, separate: false }, offsets), moved);
});

test('heads on one arm move together, others by themselves', async () => {
  const half = 50n << 20n;
  const offsets = [half, 1n << 20n, half + (1n << 20n), 0n, half + (1n << 20n)];
  const together = [false, true, false, true, true];
  assert.deepEqual(await movesOf({ count: 2, separate: false }, offsets), together);
  const separate = [false, true, true, true, false];
  assert.deepEqual(await movesOf({ count: 2, separate: true }, offsets), separate);
});

test('it says that it spins', async () => {
  const device = await openOver(await openPlugin('memory', '1M'), 'spinning');
  assert.deepEqual([device.rotational, device.multiConn], [true, false]);
  const tiny = await openOver(await openPlugin('memory', '3'), 'spinning heads=64');
  await tiny.read(2n, 1);
});
