import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zeroes } from '../block/data.ts';
import type { BlockDevice, Extent } from '../block/device.ts';
import { WorkQueue } from './work-queue.ts';

const { signal } = new AbortController();

/** A device of which only the map is asked, `most` extents at a time, as servers may answer. */
function mapped(size: number, extents: readonly Extent[], most = 1): BlockDevice {
  return {
    size: BigInt(size),
    read: () => assert.fail('nothing is to be read'),
    extents: (offset, length) => {
      let at = 0;
      const end = Number(offset) + length;
      const found: Extent[] = [];
      for (const extent of extents) {
        const from = Math.max(at, Number(offset));
        at += extent.length;
        if (from < Math.min(at, end)) found.push({ ...extent, length: Math.min(at, end) - from });
      }
      return found.slice(0, most);
    },
  };
}

const data = (length: number): Extent => ({ length, hole: false, zero: false });
const hole = (length: number): Extent => ({ length, hole: true, zero: true });
const dirtyHole = (length: number): Extent => ({ length, hole: true, zero: false });

async function chunksOf(queue: WorkQueue, longest: number): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const chunk = await queue.next(longest, signal);
    if (!chunk) return found;
    found.push(`${chunk.offset}+${chunk.length}${chunk.zero ? 'z' : ''}`);
  }
}

test('data in chunks, zeroes in one, and only what reads as zeroes is zero', async () => {
  const device = mapped(100, [data(25), hole(40), dirtyHole(5), data(5), hole(25)]);
  const options = { extents: true, granularity: 1 };
  const expected = ['0+10', '10+10', '20+5', '25+40z', '65+5', '70+5', '75+25z'];
  assert.deepEqual(await chunksOf(new WorkQueue(device, options), 10), expected);
  const short = ['0+25', '25+5z', '30+30z', '60+5z', '65+5', '70+5', '75+15z', '90+10z'];
  assert.deepEqual(
    await chunksOf(new WorkQueue(device, { ...options, longestZero: 30 }), 60),
    short,
  );
  const all = new WorkQueue(device, { ...options, extents: false });
  assert.deepEqual(await chunksOf(all, 60), ['0+60', '60+40']);
  assert.deepEqual(await chunksOf(new WorkQueue({ ...device, size: 0n }, options), 10), []);
});

test('data grows to whole blocks, and neighbours of one kind are one run', async () => {
  const options = { extents: true, granularity: 16 };
  const device = mapped(100, [data(25), hole(40), data(5), hole(30)]);
  const found = await chunksOf(new WorkQueue(device, options), 1024);
  assert.deepEqual(found, ['0+32', '32+32z', '64+16', '80+20z']);
  const thin = [hole(7), data(1), hole(8), data(1), hole(47)];
  const single = await chunksOf(new WorkQueue(mapped(64, thin), options), 1024);
  assert.deepEqual(single, ['0+16', '16+16', '32+32z']);
  const several = await chunksOf(new WorkQueue(mapped(64, thin, 9), options), 1024);
  assert.deepEqual(several, ['0+32', '32+32z']);
});

test('several askers get every chunk once', async () => {
  const device = mapped(100, [data(50), hole(50)]);
  const slow: BlockDevice = {
    ...device,
    extents: async (offset, length) => {
      await new Promise(resolve => setImmediate(resolve));
      return device.extents!(offset, length);
    },
  };
  const queue = new WorkQueue(slow, { extents: true, granularity: 1 });
  const chunks = await Promise.all(Array.from({ length: 10 }, () => queue.next(10, signal)));
  const offsets = chunks.filter(chunk => chunk !== undefined).map(({ offset }) => Number(offset));
  assert.deepEqual(
    offsets.sort((a, b) => a - b),
    [0, 10, 20, 30, 40, 50],
  );
});

test('what is put back comes again, in other sizes', async () => {
  const queue = new WorkQueue(mapped(100, [data(60), hole(40)]), { extents: true, granularity: 1 });
  const first = await queue.next(64, signal);
  assert.deepEqual(first, { offset: 0n, length: 60, zero: false });
  queue.putBack(first);
  assert.deepEqual(await chunksOf(queue, 30), ['0+30', '30+30', '60+40z']);
});

test('a source larger than numbers keeps to whole blocks', async () => {
  const size = 2n ** 60n;
  const vast: BlockDevice = {
    size,
    read: () => assert.fail('nothing is to be read'),
    extents: (_offset, length) => [{ length, hole: true, zero: true }],
  };
  const queue = new WorkQueue(vast, { extents: true, granularity: 4096 });
  let end = 0n;
  for (let chunk = await queue.next(4096, signal); chunk; chunk = await queue.next(4096, signal)) {
    assert.equal(chunk.offset, end);
    end += BigInt(chunk.length);
    assert.equal(end % 4096n, 0n);
  }
  assert.equal(end, size);
});

test('a source without an answer is an error, not a hang', async () => {
  const device: BlockDevice = { size: 10n, read: () => zeroes(1), extents: () => [] };
  const queue = new WorkQueue(device, { extents: true, granularity: 1 });
  await assert.rejects(async () => queue.next(10, signal), /gave no extents/);
});
