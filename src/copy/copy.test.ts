import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { StrictDevice } from '../../test/peer/strict-device.ts';
import type { BlockDevice, Extent } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { copy } from './copy.ts';
import type { Chunk } from './work-queue.ts';

/** Bytes without a zero among them. */
function content(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => 1 + (index % 251)));
}

const blocks = (minimum: number, maximum = 1 << 20) => ({
  blockSize: { minimum, preferred: Math.max(512, minimum), maximum },
});

describe('copy', () => {
  test('everything, in as many requests at once as are asked for', async () => {
    const source = new StrictDevice(content(100_000));
    const destination = new StrictDevice(Buffer.alloc(100_000));
    let done = 0;
    const progress = (bytes: number) => {
      done += bytes;
    };
    await copy(source, destination, { requests: 7, requestSize: 1000, progress });
    assert.ok(destination.bytes.equals(source.bytes));
    assert.equal(destination.most, 7);
    assert.equal(done, 100_000);
    assert.equal(destination.counts.flush, 0);
    await copy(source, destination, { queueSize: 3000, requestSize: 1000, flush: true });
    assert.equal(source.most, 7);
    assert.equal(destination.counts.flush, 1);
  });

  test('zeroes in aligned pieces, and data in one request where no zeroes are searched', async () => {
    const size = (1n << 28n) + 1n;
    const extents = () => [
      { length: 4096, hole: false, zero: false },
      { length: Number(size), hole: true, zero: true },
    ];
    const half = [Buffer.alloc(1, 1), Buffer.alloc(4095)];
    const source: BlockDevice = { size, read: () => half, extents };
    for (const [options, data] of [
      [{ sparse: 0 }, ['w0+4096']],
      [{ allocated: true }, ['w0+4096']],
      [{ sparse: 2048 }, ['w0+2048', 'z2048+2048']],
    ] as const) {
      const calls: string[] = [];
      const destination: BlockDevice = {
        size,
        read: () => assert.fail('nothing is to be read'),
        write: (offset, { length }) => void calls.push(`w${offset}+${length}`),
        zero: (offset, length) => void calls.push(`z${offset}+${length}`),
      };
      await copy(source, destination, options);
      const piece = 1 << 27;
      const zeroed = [`z4096+${piece - 4096}`, `z${piece}+${piece}`, `z${2 * piece}+1`];
      assert.deepEqual(calls.sort(), [...data, ...zeroed].sort());
    }
  });

  test('in order: writes begin one after the other, and go on side by side', async () => {
    const from = content(64_000);
    from.fill(0, 10_000, 14_000);
    const read = async (offset: bigint, length: number) => {
      for (let turns = (Number(offset) * 7) % 40; turns > 0; turns--) await null;
      return from.subarray(Number(offset), Number(offset) + length);
    };
    const to = Buffer.alloc(64_000);
    const begun: bigint[] = [];
    const destination: BlockDevice = {
      size: 64_000n,
      read: () => assert.fail('nothing is to be read'),
      zero: () => {},
      write: async (offset, data) => {
        to.set(data, Number(offset));
        begun.push(offset);
        // Nothing is done before some are under way.
        while (begun.length < 5) await turn();
      },
    };
    const source = { size: 64_000n, read };
    await copy(source, destination, { requestSize: 1024, sparse: 512, inOrder: true });
    assert.ok(to.equals(from));
    assert.deepEqual(
      begun,
      begun.toSorted((a, b) => Number(a - b)),
    );
  });

  test('all connections of both ends are used, and flushed', async () => {
    const bytes = Buffer.alloc(50_000);
    const sources = Array.from({ length: 3 }, () => new StrictDevice(content(50_000)));
    const destinations = [new StrictDevice(bytes), new StrictDevice(bytes)];
    await copy(sources, destinations, { requests: 2, requestSize: 1000, flush: true });
    assert.ok(bytes.equals(content(50_000)));
    assert.ok(sources.every(({ counts }) => counts.read > 0));
    for (const { counts } of destinations) assert.ok(counts.write > 0 && counts.flush === 1);
  });

  test('what is moved is not read; from where it cannot be on, all is', async () => {
    const source = new StrictDevice(content(5000));
    const destination = new StrictDevice(Buffer.alloc(5000));
    const extents = () => [{ length: 2000, hole: false, zero: false }];
    const ragged: BlockDevice = {
      size: 5000n,
      read: (offset, length) => source.read(offset, length),
      extents,
    };
    const moved: Chunk[] = [];
    const move = async (chunk: Chunk) => chunk.offset === 0n && moved.push(chunk) > 0;
    await copy(ragged, destination, { move, requestSize: 512 });
    assert.equal(moved.length, 1);
    assert.equal(
      destination.bytes.findIndex(byte => byte !== 0),
      2000,
    );
    assert.ok(destination.bytes.subarray(2000).equals(source.bytes.subarray(2000)));
  });

  test('where there is no room: ENOSPC, and nothing was asked', async () => {
    const destination = new StrictDevice(Buffer.alloc(99));
    await assert.rejects(copy(new StrictDevice(content(100)), destination), {
      errno: 'ENOSPC',
      message: 'destination size is smaller than source size',
    });
    assert.equal(destination.counts.write, 0);
  });

  test('what can grow does, to whole blocks, and needs no zeroes', async () => {
    const source = new StrictDevice(Buffer.concat([content(100), Buffer.alloc(5000)]));
    const destination = new StrictDevice(Buffer.alloc(0), { grows: true, ...blocks(512) });
    await copy(source, destination, { sparse: 512 });
    assert.equal(destination.size, 5120n);
    assert.ok(destination.bytes.subarray(0, 5100).equals(source.bytes));
    assert.equal(destination.counts.zero, 0);
    assert.equal(destination.counts.resize, 1);
    const larger = new StrictDevice(Buffer.alloc(9000, 7), { grows: true });
    await copy(source, larger);
    assert.equal(larger.size, 9000n);
    assert.ok(larger.bytes.subarray(0, 5100).equals(source.bytes));
  });

  test('a refusal to grow says how large it should be', async () => {
    const destination = new StrictDevice(Buffer.alloc(0), { grows: true });
    const full = new BlockError('ENOSPC', 'no space left');
    const refusing: BlockDevice = Object.assign(Object.create(destination), {
      resize: () => Promise.reject(full),
    });
    await assert.rejects(copy(new StrictDevice(content(10)), refusing), {
      errno: 'ENOSPC',
      message: 'the destination cannot hold 10 bytes: no space left',
    });
  });

  test('a read-only destination: EPERM; options out of bounds: RangeError', async () => {
    const source = new StrictDevice(content(10));
    await assert.rejects(copy(source, { size: 10n, read: () => content(1) }), { errno: 'EPERM' });
    for (const options of [
      { requests: 0 },
      { requestSize: 511 },
      { requestSize: 64 << 20 },
      { queueSize: -1 },
      { requests: Number.NaN },
    ]) {
      await assert.rejects(copy(source, source, options), RangeError, JSON.stringify(options));
    }
  });
});

describe('a copy that ends early', () => {
  test('the first failure ends it, with its offset, once nothing is under way', async () => {
    const destination = new StrictDevice(Buffer.alloc(100_000));
    let reads = 0;
    const source: BlockDevice = {
      size: 100_000n,
      read: (offset, length) => {
        reads += 1;
        if (offset === 5000n) throw new BlockError('EIO', 'bad sector');
        return Buffer.alloc(length, 1);
      },
    };
    await assert.rejects(copy(source, destination, { requests: 2, requestSize: 1000 }), {
      name: 'BlockError',
      message: 'read at offset 5000 failed: bad sector',
      offset: 5000n,
      errno: 'EIO',
    });
    assert.ok(reads < 20);
    assert.equal(destination.underWay, 0);
  });

  /** Answers nothing until it is told that nobody waits; then takes its time. */
  function hanging(size: bigint): { device: BlockDevice; underWay: () => number } {
    let underWay = 0;
    const hang = (signal: AbortSignal | undefined) =>
      new Promise<never>((_, reject) => {
        underWay += 1;
        signal?.addEventListener('abort', () =>
          setImmediate(() => {
            underWay -= 1;
            reject(new BlockError('ESHUTDOWN', 'given up'));
          }),
        );
      });
    const device: BlockDevice = {
      size,
      read: (_offset, _length, options) => hang(options?.signal),
      write: (_offset, _data, options) => hang(options?.signal),
    };
    return { device, underWay: () => underWay };
  }

  test('a failure gives up on all else that is under way', async () => {
    const { device, underWay } = hanging(100_000n);
    const failing: BlockDevice = {
      size: 100_000n,
      read: (offset, length, options) => {
        if (offset !== 3000n) return device.read(offset, length, options);
        throw new BlockError('EIO', 'bad sector');
      },
    };
    const destination = new StrictDevice(Buffer.alloc(100_000));
    await assert.rejects(copy(failing, destination, { requestSize: 1000 }), /bad sector/);
    assert.equal(underWay(), 0);
  });

  for (const end of ['source', 'destination'] as const) {
    test(`its signal: the reason, once nothing is under way at the ${end}`, async () => {
      const { device, underWay } = hanging(100_000n);
      const other = new StrictDevice(content(100_000));
      const controller = new AbortController();
      const [from, to] = end === 'source' ? [device, other] : [other, device];
      const copying = copy(from, to, { requestSize: 1000, signal: controller.signal });
      while (underWay() < 64) await new Promise(resolve => setImmediate(resolve));
      const reason = new Error('no more');
      controller.abort(reason);
      await assert.rejects(copying, error => error === reason);
      assert.equal(underWay() + other.underWay, 0);
    });
  }

  test('aborted before: nothing is asked', async () => {
    const source = new StrictDevice(content(10));
    const destination = new StrictDevice(Buffer.alloc(0), { grows: true });
    const signal = AbortSignal.abort(new Error('no more'));
    await assert.rejects(copy(source, destination, { signal }), /^Error: no more$/);
    assert.equal(source.counts.read + destination.counts.resize, 0);
  });

  test('a source that gives too little is an error, not a gap', async () => {
    const source: BlockDevice = { size: 100n, read: (_, length) => content(length - 1) };
    const destination = new StrictDevice(Buffer.alloc(100));
    await assert.rejects(copy(source, destination), /gave 99 bytes in place of 100/);
    assert.equal(destination.counts.write, 0);
  });
});

/** A generator of numbers below a limit, from a seed. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return limit => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
}

describe('whole blocks, whatever the ends want', () => {
  /** Runs of data and zeroes. */
  function runs(next: (limit: number) => number, size: number): { bytes: Buffer; map: Extent[] } {
    const bytes = content(size);
    const map: Extent[] = [];
    for (let at = 0; at < size; ) {
      const length = Math.min(size - at, [1, 100, 512, 4096, 5000, 20_000][next(6)]!);
      const zero = next(2) === 0;
      if (zero) bytes.fill(0, at, at + length);
      map.push({ length, hole: zero, zero });
      at += length;
    }
    return { bytes, map };
  }

  /** Gives views of odd lengths, and extents some at a time. */
  function odd(below: StrictDevice, map: readonly Extent[], view: number): BlockDevice {
    return {
      size: below.size,
      blockSize: below.blockSize,
      read: async (offset, length) => {
        const bytes = await below.read(offset, length);
        return Array.from({ length: Math.ceil(length / view) }, (_, index) =>
          bytes.subarray(index * view, (index + 1) * view),
        );
      },
      extents: offset => {
        const found: Extent[] = [];
        let at = 0;
        for (const extent of map) {
          at += extent.length;
          if (at <= Number(offset)) continue;
          const length = Math.min(extent.length, at - Number(offset));
          if (found.push({ ...extent, length }) === 3) break;
        }
        return found;
      },
    };
  }

  const roundUp = (size: number, block: number) => Math.ceil(size / block) * block;

  for (let seed = 1; seed <= 30; seed++) {
    test(`seed ${seed}`, async () => {
      const next = numbers(seed);
      const pick = () => [1, 512, 4096, 16_384][next(4)]!;
      const [from, to] = [pick(), pick()];
      const size = 1 + next(150_000);
      const { bytes, map } = runs(next, size);
      const maximum = (minimum: number) => minimum * (1 + next(9)) + next(minimum);
      const source = new StrictDevice(bytes, blocks(from, maximum(from)));
      const grows = next(3) === 0;
      const room = grows ? 0 : next(2) === 0 ? size : roundUp(size, to) + to * next(3);
      const options = { ...blocks(to, maximum(to)), grows, zeroes: next(2) === 0 };
      const destination = new StrictDevice(Buffer.alloc(room, 0xee), options);
      await copy(odd(source, map, 1 + next(3000)), destination, {
        extents: next(3) > 0,
        sparse: [0, 512, 4096, 65_536][next(4)]!,
        allocated: next(4) === 0,
        requests: 1 + next(8),
        requestSize: [512, 4096, 10_000, 65_536][next(4)]!,
      });
      assert.ok(destination.bytes.subarray(0, size).equals(bytes), 'the bytes are there');
      const rest = destination.bytes.subarray(size);
      assert.ok(
        rest.every(byte => byte === (grows ? 0 : 0xee)),
        'the rest is as it was',
      );
      assert.ok(rest.length < to || !grows);
    });
  }
});
