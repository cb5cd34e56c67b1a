import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deviceContract } from '../../test/contract/contract.ts';
import { openPlugin } from '../../test/contract/open.ts';
import { checked } from './checked.ts';
import { paddingDevice } from './constant.ts';
import type { BlockDevice, Data, Extent, StatusRun } from './device.ts';
import { errnoOf } from './errors.ts';
import { inPlace } from './write-buffer.ts';

deviceContract('checked memory', async () => checked(await openPlugin('memory', '1M')), {
  writes: 'kept',
});

const able = (more: Partial<BlockDevice> = {}): BlockDevice => ({
  size: 10_000n,
  read: (_offset, length) => Buffer.alloc(length),
  write: () => {},
  writeBuffer: (_offset, length) => inPlace(Buffer.alloc(length)),
  trim: () => {},
  zero: () => {},
  cache: () => {},
  flush: () => {},
  extents: (_offset, length) => [{ length, hole: false, zero: false }],
  resize: () => {},
  contexts: [{ name: 'x:y', status: (_offset, length) => [{ length, flags: 1n }] }],
  ...more,
});

const fails = async (errno: string, act: () => unknown, words = /./) => {
  await assert.rejects(
    async () => await act(),
    (error: unknown) => errnoOf(error) === errno && words.test((error as Error).message),
  );
};

type Request = (device: BlockDevice, offset: bigint, length: number) => unknown;
const requests: Readonly<Record<string, Request>> = {
  read: (device, offset, length) => device.read(offset, length),
  write: (device, offset, length) =>
    device.write!(offset, { length, __proto__: Buffer.prototype } as never),
  writeBuffer: (device, offset, length) => device.writeBuffer!(offset, length),
  zero: (device, offset, length) => device.zero!(offset, length),
  trim: (device, offset, length) => device.trim!(offset, length),
  cache: (device, offset, length) => device.cache!(offset, length),
  extents: (device, offset, length) => device.extents!(offset, length),
  status: (device, offset, length) => device.contexts![0]!.status(offset, length),
};

describe('bad requests', () => {
  for (const [name, request] of Object.entries(requests)) {
    test(name, async () => {
      const device = checked(able());
      const past = name.startsWith('write') || name === 'zero' ? 'ENOSPC' : 'EINVAL';
      for (const length of [0, -1, 1.5, Number.NaN, 2 ** 53, '5']) {
        await fails('EINVAL', () => request(device, 0n, length as number), /length/);
      }
      for (const offset of [-1n, 0, undefined]) {
        await fails('EINVAL', () => request(device, offset as bigint, 1), /offset/);
      }
      await fails(past, () => request(device, 9_999n, 2), /2 bytes at 9999 .* end at 10000/);
      await fails(past, () => request(device, 2n ** 70n, 1));
      const blockSize = { minimum: 512, preferred: 512, maximum: 1024 };
      const blocks = checked(able({ blockSize }));
      await fails('EINVAL', () => request(blocks, 1n, 512), /minimum block size 512/);
      await fails('EINVAL', () => request(blocks, 0n, 513), /minimum block size 512/);
      const payload = name === 'read' || name.startsWith('write');
      if (payload) await fails('EINVAL', () => request(blocks, 0n, 1536), /maximum .* 1024/);
      else await request(blocks, 0n, 1536);
    });
  }

  test('what is in order passes, also a short last block', async () => {
    const blockSize = { minimum: 512, preferred: 512, maximum: 1024 };
    const free = { ...blockSize, advisory: true };
    await checked(able({ blockSize })).read(9728n, 272);
    await checked(able({ blockSize: free })).read(1n, 5000);
    await checked(able({ fua: 'native' })).write!(0n, Buffer.alloc(1), { fua: true });
  });

  test('options that the device does not understand', async () => {
    const device = checked(able());
    await fails('EINVAL', () => device.write!(0n, Buffer.alloc(1), { fua: true }), /fua/);
    await fails('EINVAL', () => device.trim!(0n, 1, { fua: true }), /fua/);
    await fails('EINVAL', () => device.zero!(0n, 1, { fastZero: true }), /fastZero/);
    await fails('EINVAL', () => device.writeBuffer!(0n, 1)!.done({ fua: true }), /fua/);
    await fails('EINVAL', () => device.write!(0n, 'text' as never), /data/);
    await fails('EINVAL', () => device.resize!(-1n), /size/);
  });

  test('a write buffer ends once', async () => {
    const device = checked(able());
    const buffer = device.writeBuffer!(0n, 5)!;
    await buffer.done();
    await fails('EINVAL', () => buffer.abandon(), /already/);
  });

  test('nothing after close', async () => {
    const device = checked(able());
    await device.close!();
    for (const request of Object.values(requests)) {
      await fails('EINVAL', () => request(device, 0n, 1), /closed/);
    }
    await fails('EINVAL', () => device.flush!(), /closed/);
    await fails('EINVAL', () => device.close!(), /closed/);
  });

  test('methods that are absent stay so', () => {
    const device = checked({ size: 1n, read: () => Buffer.alloc(1) });
    const has = Object.entries(device).filter(([, value]) => typeof value === 'function');
    assert.deepEqual(
      has.map(([name]) => name),
      ['read', 'close'],
    );
  });
});

describe('bad answers', () => {
  for (const data of [Buffer.alloc(9), [], [Buffer.alloc(5), Buffer.alloc(6)], 'text', null, [5]]) {
    test(`bytes: ${JSON.stringify(data)}`, async () => {
      const answers = [() => data as Data, async () => data as Data];
      for (const read of answers) await fails('EIO', () => checked(able({ read })).read(0n, 10));
      const writeBuffer = () => inPlace(data as Data);
      await fails('EIO', () => checked(able({ writeBuffer })).writeBuffer!(0n, 10));
    });
  }

  const kinds = { hole: false, zero: false, flags: 0 };
  for (const lengths of [[], [0], [-1], [0.5], [5, 0, 5], [10, 1], [2 ** 53]]) {
    test(`runs: ${lengths}`, async () => {
      const runs = lengths.map(length => ({ length, ...kinds }));
      const device = checked(
        able({ extents: async () => runs, contexts: [{ name: 'x:y', status: () => runs }] }),
      );
      await fails('EIO', () => device.extents!(0n, 10), /extents/);
      await fails('EIO', () => device.contexts![0]!.status(0n, 10), /extents/);
    });
  }

  test('runs of no kind', async () => {
    const extents = () => [{ length: 1 } as Extent];
    const contexts = [{ name: 'x:y', status: () => [{ length: 1 } as StatusRun] }];
    const device = checked(able({ extents, contexts }));
    await fails('EIO', () => device.extents!(0n, 10), /form/);
    await fails('EIO', () => device.contexts![0]!.status(0n, 10), /form/);
  });

  test('sizes', () => {
    for (const size of [-1n, 2n ** 63n, 5, undefined]) {
      assert.throws(() => checked({ ...paddingDevice(1n), size: size as bigint }), /size/);
    }
  });

  test('the last run may be longer', async () => {
    const extents = () => [5, 500].map(length => ({ length, hole: true, zero: true }));
    assert.equal((await checked(able({ extents })).extents!(0n, 10)).length, 2);
  });
});
