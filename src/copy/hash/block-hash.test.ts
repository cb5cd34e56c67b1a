import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { zeroes } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { copy } from '../copy.ts';
import { copyFromStream, copyToStream } from '../streams.ts';
import { BlockHash } from './block-hash.ts';
import type { HashForm } from './form.ts';
import { hashOf as hashOfDisk } from './hash.ts';

const data = Buffer.concat([
  Buffer.from(Array.from({ length: 300_001 }, (_, index) => (index * 7) % 251)),
  Buffer.alloc(1_000_000),
  Buffer.from('x'),
]);

/** Of `data`, as the reference implementation of blkhash has it. */
const KNOWN = {
  md5: '6ec235dcd96650dd1194a27d7f1325eb',
  sha256: '20b7f715c46061f416605ad6a6ef137a2b011ff188740f1304d4a6fdff6a8c41',
} as const;
const EMPTY = 'af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc';

const FORM: HashForm = { digest: 'sha256', blockSize: 65_536 };

/** The same, block after block. */
function plainly({ digest, blockSize }: HashForm, bytes: Buffer): string {
  const hash = createHash(digest);
  for (let at = 0; at < bytes.length; at += blockSize) {
    const block = bytes.subarray(at, at + blockSize);
    hash.update(createHash(digest).update(block).digest());
  }
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return hash.update(length).digest('hex');
}

async function hashOf(form: HashForm, act: (hash: BlockHash) => Promise<unknown>): Promise<string> {
  const hash = new BlockHash(form);
  try {
    await act(hash);
    return await hash.value();
  } finally {
    await hash.close();
  }
}

const device = (extents?: BlockDevice['extents']): BlockDevice => ({
  size: BigInt(data.length),
  read: (offset, length) => data.subarray(Number(offset), Number(offset) + length),
  ...(extents && { extents }),
});
const sink: BlockDevice = { size: 1n << 30n, read: () => zeroes(1), write: () => {} };

describe('the hash of blocks', () => {
  test('is that of the reference', async () => {
    for (const digest of ['md5', 'sha256'] as const) {
      const whole = { offset: 0n, length: data.length, zero: false };
      const found = await hashOf({ ...FORM, digest }, hash => hash.seen(whole, data));
      assert.equal(found, KNOWN[digest]);
    }
    assert.equal(await hashOf(FORM, async () => {}), EMPTY);
  });

  test('is the same for chunks in any order, of data, known zeroes and holes', async () => {
    const found = await hashOf(FORM, async hash => {
      const part = (from: number, to: number, bytes: Uint8Array | undefined) =>
        hash.seen({ offset: BigInt(from), length: to - from, zero: !bytes }, bytes);
      const [first, second, third] = [327_680, 655_360, 1_245_184];
      await part(third, data.length, data.subarray(third));
      await part(second, third, undefined);
      await part(first, second, zeroes(second - first) as Uint8Array);
      await part(0, first, data.subarray(0, first));
    });
    assert.equal(found, KNOWN.sha256);
  });

  test('many zeroes, the last block of them short', async () => {
    const form = { digest: 'md5', blockSize: 512 } as const;
    const length = (512 << 17) + 100;
    const found = await hashOf(form, hash =>
      hash.seen({ offset: 0n, length, zero: true }, undefined),
    );
    assert.equal(found, plainly(form, Buffer.alloc(length)));
  });

  test('of a disk, of which holes are not read', async () => {
    let read = 0;
    const hole = 655_360;
    const extents: BlockDevice['extents'] = (at, length) =>
      at < hole
        ? [{ length: hole - Number(at), hole: true, zero: true }]
        : [{ length, hole: false, zero: false }];
    const disk: BlockDevice = {
      ...device(extents),
      read: (offset, length) => {
        read += length;
        return data.subarray(Number(offset), Number(offset) + length);
      },
    };
    const zeroed = Buffer.concat([Buffer.alloc(hole), data.subarray(hole)]);
    assert.equal(await hashOfDisk(disk), plainly(FORM, zeroed));
    assert.equal(read, data.length - hole);
    assert.equal(await hashOfDisk(device(), { digest: 'md5', threads: 1 }), KNOWN.md5);
    await assert.rejects(hashOfDisk(disk, { blockSize: 100 }), RangeError);
    await assert.rejects(hashOfDisk(disk, { digest: 'crc' as 'md5' }), RangeError);
  });

  test('of every kind of copy, whatever its requests', async () => {
    const extents = (offset: bigint) => {
      const at = Number(offset);
      if (at >= 300_001 && at < 1_300_001)
        return [{ length: 1_300_001 - at, hole: true, zero: true }];
      const end = at < 300_001 ? 300_001 : data.length;
      return [{ length: end - at, hole: false, zero: false }];
    };
    const kinds: ((options: object) => Promise<unknown>)[] = [
      options => copy(device(), sink, options),
      options => copy(device(extents), sink, options),
      options => copyToStream(device(extents), () => {}, options),
      options =>
        copyFromStream(
          (async function* () {
            for (let at = 0; at < data.length; at += 9999) yield data.subarray(at, at + 9999);
          })(),
          sink,
          options,
        ),
    ];
    const form = { ...FORM, blockSize: 1 << 18 };
    const options = { granularity: form.blockSize, requestSize: 20_000 };
    for (const kind of kinds) {
      const found = await hashOf(form, observer => kind({ ...options, observer }));
      assert.equal(found, plainly(form, data));
    }
  });
});
