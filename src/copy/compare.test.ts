import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StrictDevice } from '../../test/peer/strict-device.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { compare } from './compare.ts';

const SIZE = 100_001;
/** Data, 50000 zeroes, data. */
const content = Buffer.from(
  Array.from({ length: SIZE }, (_, index) => (index >= 20_000 && index < 70_000 ? 0 : 1)),
);
const BLOCKS = { blockSize: { minimum: 512, preferred: 4096, maximum: 16_384 } };

const extents: NonNullable<BlockDevice['extents']> = offset => {
  const at = Number(offset);
  const zero = at >= 20_000 && at < 70_000;
  const end = at < 20_000 ? 20_000 : zero ? 70_000 : SIZE;
  return [{ length: end - at, hole: zero, zero }];
};

function mapped(bytes: Buffer, read: (offset: bigint, length: number) => void = () => {}) {
  const device: BlockDevice = {
    size: BigInt(bytes.length),
    read: (offset, length) => {
      read(offset, length);
      return bytes.subarray(Number(offset), Number(offset) + length);
    },
    extents,
  };
  return device;
}

/** A longer copy, in which one byte may be another. */
function copyOf(changed?: number): Buffer {
  const bytes = Buffer.alloc(1 << 17, 0xee);
  content.copy(bytes);
  if (changed !== undefined) bytes[changed]! ^= 0x55;
  return bytes;
}

test('a copy is the same, up to the end of the source', async () => {
  let done = 0;
  const progress = (bytes: number) => {
    done += bytes;
  };
  const copy = new StrictDevice(copyOf(), BLOCKS);
  await compare(mapped(content), copy, { requestSize: 8192, progress });
  assert.equal(done, SIZE);
  assert.equal(copy.counts.flush, 1);
  await compare(mapped(content), [copy, copy], { extents: false });
});

test('every difference is found, and where it is', async () => {
  for (const at of [0, 19_999, 20_000, 45_000, 69_999, 70_000, SIZE - 1]) {
    for (const copy of [new StrictDevice(copyOf(at), BLOCKS), new StrictDevice(copyOf(at))]) {
      await assert.rejects(compare(mapped(content), copy, { requestSize: 4096 }), {
        message: `the copy differs from the source at offset ${at}`,
        offset: BigInt(at),
      });
    }
  }
});

test('zeroes that both ends know of are not read', async () => {
  const outside = (offset: bigint, length: number) =>
    assert.ok(offset + BigInt(length) <= 20_000n || offset >= 70_000n, `${offset}+${length}`);
  await compare(mapped(content, outside), mapped(content, outside), { requestSize: 1000 });
});

test('what cannot be read back is an error that says so', async () => {
  const fails = () => {
    throw new BlockError('EIO', 'a scratch');
  };
  const copy: BlockDevice = { size: BigInt(SIZE), read: fails };
  await assert.rejects(
    compare(mapped(content), copy),
    /^BlockError: reading back at offset 0 failed: a scratch$/,
  );
  const silent: BlockDevice = { ...mapped(content), extents: () => [] };
  await assert.rejects(compare(mapped(content), silent), /gave no extents/);
});
