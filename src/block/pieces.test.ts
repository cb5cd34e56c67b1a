import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { lateDisk, type Members } from '../../test/block/late-disk.ts';
import { Random } from '../testing/model.ts';
import { zeroes } from './data.ts';
import type { BlockDevice } from './device.ts';
import { cacheRange, trimRange, zeroRange } from './emulate.ts';
import { errnoOf } from './errors.ts';
import { inPieces } from './pieces.ts';

const GiB = 2 ** 30;
const TiB = 2 ** 40;
/** Keeps the processor for some ms. */
const burn = (ms: number) => {
  for (const end = performance.now() + ms; performance.now() < end; );
};

describe('a long range in pieces', () => {
  test('is covered once, in order, by pieces that become longer', async () => {
    let next = 7n;
    const lengths: number[] = [];
    await inPieces(7n, 2 ** 52, (offset, length) => {
      assert.equal(offset, next);
      next += BigInt(length);
      lengths.push(length);
    });
    assert.equal(next, 7n + (1n << 52n));
    assert.equal(lengths[0], GiB);
    assert.ok(lengths.length < 1000, `${lengths.length} pieces`);
  });

  test('a short one is one piece, answered at once', () => {
    assert.equal(
      inPieces(0n, GiB, () => {}),
      undefined,
    );
  });

  test('pieces that take long become shorter, down to 64 KiB', async () => {
    const lengths: number[] = [];
    await inPieces(
      0n,
      1 << 22,
      (_offset, length) => {
        lengths.push(length);
        if (lengths.length < 8) burn(12);
      },
      { first: 1 << 20 },
    );
    const halves = [20, 19, 18, 17, 16, 16, 16].map(power => 2 ** power);
    assert.deepEqual(lengths.slice(0, 7), halves);
  });

  test('what takes long to start is not cut below 1 MiB', async () => {
    const lengths: number[] = [];
    const start = async (_offset: bigint, length: number) => {
      lengths.push(length);
      burn(12);
    };
    await inPieces(0n, 1 << 24, start, { first: 1 << 22 });
    assert.deepEqual([lengths[1], lengths.at(-1)], [1 << 21, 1 << 20]);
  });

  test('never longer than `most`', async () => {
    const lengths: number[] = [];
    const note = (_offset: bigint, length: number) => void lengths.push(length);
    await inPieces(0n, 10_500, note, { most: 4096 });
    assert.deepEqual(lengths, [4096, 4096, 2308]);
  });

  test('lets others have their turn, and stops with the reason of the signal', async () => {
    const client = new AbortController();
    setTimeout(() => client.abort(new Error('gone')), 1);
    let pieces = 0;
    const act = () => {
      pieces += 1;
      burn(0.05);
    };
    const zeroing = inPieces(0n, 2 ** 34, act, { signal: client.signal, most: 1 << 20 });
    await assert.rejects(async () => await zeroing, /gone/);
    const stopped = pieces;
    await turn();
    assert.equal(pieces, stopped);
  });
});

/** A disk that answers at once, as a naive plugin's. */
const naive = (more: Partial<BlockDevice> = {}): BlockDevice => ({
  size: 2n ** 62n,
  read: (_offset, length) => zeroes(length),
  write: () => {},
  ...more,
});

describe('a giant request', () => {
  const signalled = () => {
    const client = new AbortController();
    setTimeout(() => client.abort(new Error('gone')), 1);
    return { signal: client.signal };
  };
  for (const [what, act] of [
    ['zeroes written', () => zeroRange(naive(), 0n, TiB, signalled())],
    ['zeroing', () => zeroRange(naive({ zero: () => burn(1) }), 0n, TiB, signalled())],
    ['trimming', () => trimRange(naive({ trim: () => burn(1) }), 0n, TiB, signalled())],
    ['caching', () => cacheRange(naive({ cache: () => burn(1) }), 0n, TiB, signalled())],
    ['reading', () => cacheRange(naive({ caching: 'emulated' }), 0n, TiB, signalled())],
  ] as const) {
    test(`${what}: it stops when nobody waits any more`, async () => {
      await assert.rejects(async () => await act(), /gone/);
    });
  }

  test('one flush makes all of it durable', async () => {
    for (const range of [zeroRange, trimRange]) {
      const done: boolean[] = [];
      const note = (_offset: bigint, _length: number, options?: { fua?: boolean | undefined }) =>
        void done.push(Boolean(options?.fua));
      let flushes = 0;
      const flush = () => void flushes++;
      const device = naive({ zero: note, trim: note, flush });
      await range(device, 0n, TiB, { fua: true });
      assert.equal(flushes, 1);
      await range({ ...device, fua: 'native' }, 0n, TiB, { fua: true });
      assert.equal(flushes, 1);
      assert.ok(done.includes(true) && done.lastIndexOf(false) < done.indexOf(true));
    }
  });
});

describe('what the device does not want', () => {
  const refused = async (act: () => unknown) => {
    await assert.rejects(
      async () => await act(),
      (error: unknown) => errnoOf(error) === 'ENOTSUP',
    );
  };

  test('zeroing', async () => {
    const writes: bigint[] = [];
    const write = (offset: bigint) => void writes.push(offset);
    await refused(() => zeroRange(naive({ write, zeroing: 'none' }), 0n, 512));
    await refused(() => zeroRange(naive({ write, fastZero: 'none' }), 0n, 512, { fastZero: true }));
    assert.deepEqual(writes, []);
  });

  test('caching', async () => {
    await refused(() => cacheRange(naive(), 0n, 512));
    await refused(() => cacheRange(naive({ caching: 'none' }), 0n, 512));
  });
});

test('zeroes that are written, and bytes that are read, instead are whole blocks', async () => {
  const blockSize = { minimum: 4096, preferred: 4096, maximum: 10_000 };
  const plain: Members = { zero: undefined, cache: undefined, caching: 'emulated', blockSize };
  const { device, notes } = lateDisk(Buffer.alloc(20_480, 1), new Random(1), plain);
  await zeroRange(device, 0n, 20_480);
  await cacheRange(device, 0n, 20_480);
  assert.deepEqual(notes, [
    ...['write 0+8192', 'write 8192+8192', 'write 16384+4096'],
    ...['read 0+8192', 'read 8192+8192', 'read 16384+4096'],
  ]);
});
