import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { StrictDevice } from '../../test/peer/strict-device.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { copyFromStream, copyToStream, type ReadBytes } from './streams.ts';

function content(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => 1 + (index % 251)));
}

const BLOCKS = { blockSize: { minimum: 4096, preferred: 4096, maximum: 65_536 } };

/** A stream that gives a few bytes at a time. */
function trickling(bytes: Buffer, most = 1000): ReadBytes {
  let offset = 0;
  return async memory => {
    await new Promise(resolve => setImmediate(resolve));
    const count = bytes.copy(memory, 0, offset, offset + Math.min(most, memory.length));
    offset += count;
    return count;
  };
}

describe('from a stream', () => {
  test('whole blocks, and the rest of the last one stays', async () => {
    for (const length of [1, 4095, 4096, 4097, 100_001]) {
      const destination = new StrictDevice(Buffer.alloc(1 << 17, 0xee), BLOCKS);
      let done = 0;
      const progress = (bytes: number) => {
        done += bytes;
      };
      const options = { requestSize: 8192, progress };
      const copied = await copyFromStream(trickling(content(length)), destination, options);
      assert.equal(copied, BigInt(length));
      assert.equal(done, length);
      assert.ok(destination.bytes.subarray(0, length).equals(content(length)));
      assert.ok(
        destination.bytes.subarray(length).every(byte => byte === 0xee),
        `${length}`,
      );
    }
  });

  test('as long as the destination is fine, a byte longer is not', async () => {
    const bytes = content(12_288);
    const destination = new StrictDevice(Buffer.alloc(12_288), BLOCKS);
    await copyFromStream(trickling(bytes), destination);
    assert.ok(destination.bytes.equals(bytes));
    const options = { requestSize: 4096 };
    await assert.rejects(copyFromStream(trickling(content(12_289)), destination, options), {
      errno: 'ENOSPC',
      message: 'destination size is smaller than source size',
    });
    assert.equal(destination.underWay, 0);
  });

  test('a destination that grows is as long as the stream in the end', async () => {
    const destination = new StrictDevice(Buffer.alloc(0), { grows: true });
    const sparse = Buffer.concat([content(9000), Buffer.alloc(90_000)]);
    await copyFromStream(trickling(sparse, 9000), destination, { requestSize: 4096 });
    assert.ok(destination.bytes.equals(sparse));
    assert.equal(destination.counts.zero, 0);
    // In steps, not with each request.
    assert.equal(destination.counts.resize, 2);
    const blocks = new StrictDevice(Buffer.alloc(0), { grows: true, ...BLOCKS });
    await copyFromStream(trickling(content(5000)), blocks);
    assert.equal(blocks.size, 8192n);
    const larger = new StrictDevice(Buffer.alloc(20_000, 7), { grows: true });
    await copyFromStream(trickling(content(5000)), larger);
    assert.equal(larger.size, 20_000n);
    const empty = new StrictDevice(Buffer.alloc(0), { grows: true });
    assert.equal(await copyFromStream(trickling(Buffer.alloc(0)), empty), 0n);
  });

  test('a stream of Node, to its end', async () => {
    const bytes = content(300_000);
    const destination = new StrictDevice(Buffer.alloc(1 << 19), BLOCKS);
    const chunks = [bytes.subarray(0, 7), bytes.subarray(7, 200_000), bytes.subarray(200_000)];
    await copyFromStream(Readable.from(chunks), destination, { requestSize: 4096, flush: true });
    assert.ok(destination.bytes.subarray(0, bytes.length).equals(bytes));
    assert.equal(destination.counts.flush, 1);
  });

  test('a failure to write ends a stream that is silent', async () => {
    const stream = new Readable({ read() {} });
    stream.push(content(10_000));
    const full: BlockDevice = {
      size: 1n << 20n,
      read: () => assert.fail('nothing is to be read'),
      write: async () => {
        throw new BlockError('ENOSPC', 'full');
      },
    };
    const copying = copyFromStream(stream, full, { requestSize: 4096 });
    await assert.rejects(copying, /write at offset 0 failed: full/);
    assert.ok(stream.destroyed);
  });

  test('aborted: its reason', async () => {
    const controller = new AbortController();
    const stream = new Readable({ read: () => controller.abort(new Error('no more')) });
    const destination = new StrictDevice(Buffer.alloc(4096));
    const { signal } = controller;
    await assert.rejects(copyFromStream(stream, destination, { signal }), /^Error: no more$/);
    assert.ok(stream.destroyed);
  });

  test('nobody reads on after a failure to read', async () => {
    let reads = 0;
    const failing: ReadBytes = () => {
      reads += 1;
      throw new BlockError('EIO', 'bad tape');
    };
    const destination = new StrictDevice(Buffer.alloc(4096));
    await assert.rejects(copyFromStream(failing, destination), {
      message: 'read at offset 0 failed: bad tape',
    });
    assert.equal(reads, 1);
  });
});

describe('to a stream', () => {
  test('in order, whatever is answered first', async () => {
    const bytes = Buffer.concat([content(50_000), Buffer.alloc(50_000), content(30_000)]);
    const below = new StrictDevice(bytes);
    const source: BlockDevice = {
      size: below.size,
      // The later, the sooner.
      read: async (offset, length) => {
        for (let turn = Number(offset) / 4096; turn < 40; turn++) await below.read(0n, 1);
        return below.read(offset, length);
      },
      extents: offset =>
        [50_000, 100_000, 130_000]
          .filter(end => end > Number(offset))
          .map((end, index, ends) => {
            const zero = end === 100_000;
            return { length: end - (ends[index - 1] ?? Number(offset)), hole: zero, zero };
          }),
    };
    const parts: Buffer[] = [];
    let progressed = 0;
    const write = async (part: Uint8Array) => {
      parts.push(Buffer.from(part));
    };
    const progress = (count: number) => {
      progressed += count;
    };
    await copyToStream(source, write, { requestSize: 4096, requests: 8, progress });
    assert.ok(Buffer.concat(parts).equals(bytes));
    assert.equal(progressed, bytes.length);
    assert.equal(below.underWay, 0);
    assert.ok(below.most > 1, 'reads ahead');
  });

  test('a failure on either side ends it, and nothing is under way', async () => {
    const source = new StrictDevice(content(100_000));
    const options = { requestSize: 4096 };
    let writes = 0;
    const full = async () => {
      if (++writes === 3) throw new BlockError('ENOSPC', 'full');
    };
    const why = { message: 'write at offset 8192 failed: full', errno: 'ENOSPC' };
    await assert.rejects(copyToStream(source, full, options), why);
    assert.equal(writes, 3);
    assert.equal(source.underWay, 0);
    const failing: BlockDevice = {
      size: 100_000n,
      read: (offset, length) => {
        if (offset === 8192n) throw new BlockError('EIO', 'bad sector');
        return source.read(offset, length);
      },
    };
    const written: number[] = [];
    const write = (part: Uint8Array) => {
      written.push(part.length);
    };
    await assert.rejects(copyToStream(failing, write, options), /read at offset 8192 failed/);
    assert.deepEqual(written, [4096, 4096]);
    assert.equal(source.underWay, 0);
  });

  test('aborted: its reason', async () => {
    const controller = new AbortController();
    const source = new StrictDevice(content(100_000));
    const write = () => controller.abort(new Error('no more'));
    const options = { requestSize: 4096, signal: controller.signal };
    await assert.rejects(copyToStream(source, write, options), /^Error: no more$/);
    assert.equal(source.underWay, 0);
  });
});
