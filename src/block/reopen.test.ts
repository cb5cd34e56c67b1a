import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { lateDisk, type Members } from '../../test/block/late-disk.ts';
import { deviceContract } from '../../test/contract/contract.ts';
import { pluginSource, REQUEST } from '../../test/contract/open.ts';
import { Random, readBytes } from '../testing/model.ts';
import { checked } from './checked.ts';
import { paddingDevice } from './constant.ts';
import type { BlockDevice } from './device.ts';
import { BlockError, errnoOf } from './errors.ts';
import { Reopenable } from './reopen.ts';

const failed = (errno: string, words: RegExp) => (error: unknown) =>
  errnoOf(error) === errno && words.test((error as Error).message);

deviceContract(
  'memory that has been opened again',
  async () => {
    const source = await pluginSource('memory', '1M');
    const open = () => source.open(REQUEST);
    const reopenable = new Reopenable(await open(), open);
    await reopenable.reopen();
    return reopenable.device;
  },
  { writes: 'kept' },
);

describe('a device that is opened again', () => {
  test('under load: nothing is lost, and nothing is called on one that is closed', async () => {
    const random = new Random(11);
    const bytes = Buffer.alloc(8 * 1000);
    let underWay = 0;
    let opened = 0;
    const faults: string[] = [];
    /** Breaks after some requests. It fails when it is closed under them, or used afterwards. */
    const fragile = (): BlockDevice => {
      opened += 1;
      let lifetime = 5 + random.below(20);
      let closed = false;
      const busy = <A extends unknown[], T>(act: (...request: A) => T | PromiseLike<T>) => {
        return async (...request: A) => {
          if (closed) faults.push('used after it was closed');
          underWay += 1;
          lifetime -= 1;
          const broken = lifetime < 0;
          try {
            await turn();
            if (broken) throw new BlockError('ESHUTDOWN', 'the line is dead');
            return await act(...request);
          } finally {
            underWay -= 1;
          }
        };
      };
      const { device } = lateDisk(bytes, random);
      return {
        ...device,
        read: busy(device.read),
        write: busy(device.write!),
        close: async () => {
          if (underWay > 0) faults.push('closed under a request');
          closed = true;
          await turn();
        },
      };
    };
    const reopenable = new Reopenable(fragile(), async () => {
      await turn();
      return fragile();
    });
    const device = checked(reopenable.device);
    const untilDone = async <T>(act: () => T | PromiseLike<T>): Promise<T> => {
      for (;;) {
        try {
          return await act();
        } catch (error) {
          if (errnoOf(error) !== 'ESHUTDOWN') throw error;
          await reopenable.reopen();
        }
      }
    };
    const worker = async (index: number) => {
      const own = new Random(index);
      for (let step = 0; step < 60; step++) {
        const data = own.bytes(1 + own.below(1000));
        const at = BigInt(index * 1000);
        await untilDone(() => device.write!(at, data));
        const found = await untilDone(() => readBytes(device, at, data.length));
        assert.ok(found.equals(data));
      }
    };
    await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(worker));
    assert.deepEqual(faults, []);
    assert.ok(opened > 20, `opened ${opened} times`);
    await device.close!();
  });

  test('once for all who ask meanwhile; requests wait for it', async () => {
    let opened = 0;
    const open = async () => {
      await turn();
      opened += 1;
      return { ...paddingDevice(10n), read: () => Buffer.from([opened]) };
    };
    const reopenable = new Reopenable(await open(), open);
    const { read } = reopenable.device;
    const both = [reopenable.reopen(), reopenable.reopen()];
    const answer = await read(0n, 1);
    await Promise.all(both);
    assert.deepEqual([(answer as Buffer)[0], opened], [2, 2]);
    await reopenable.reopen();
    assert.deepEqual(read(0n, 1), Buffer.from([3]));
    assert.equal(reopenable.device.read, read);
  });

  test('waits for what is under way', async () => {
    const notes: string[] = [];
    let finish = () => {};
    const first: BlockDevice = {
      ...paddingDevice(10n),
      flush: () =>
        new Promise<void>(resolve => {
          finish = () => {
            notes.push('flushed');
            resolve();
          };
        }),
      close: () => void notes.push('closed'),
    };
    const reopenable = new Reopenable(first, () => {
      notes.push('opened');
      return paddingDevice(10n);
    });
    const flush = reopenable.device.flush!();
    const patience = new AbortController();
    const givenUp = reopenable.reopen({ signal: patience.signal });
    await turn();
    patience.abort(new Error('enough'));
    await assert.rejects(givenUp, /enough/);
    await turn();
    assert.deepEqual(notes, []);
    const reopened = reopenable.reopen();
    finish();
    await reopened;
    await flush;
    assert.deepEqual(notes, ['flushed', 'closed', 'opened']);
  });

  test('fails all requests when it cannot be opened, until it can', async () => {
    let works = false;
    const reopenable = new Reopenable(paddingDevice(10n), () => {
      if (!works) throw new BlockError('ETIMEDOUT', 'nobody there');
      return paddingDevice(10n);
    });
    const { device } = reopenable;
    for (let round = 0; round < 2; round++) {
      await assert.rejects(reopenable.reopen(), failed('ETIMEDOUT', /nobody there/));
    }
    const nobody = failed('ETIMEDOUT', /nobody there/);
    await assert.rejects(async () => await device.read(0n, 1), nobody);
    await assert.rejects(async () => await device.flush!(), nobody);
    assert.equal(device.size, 10n);
    works = true;
    await reopenable.reopen();
    await device.flush!();
  });

  const disk = (more: Members = {}): BlockDevice =>
    lateDisk(Buffer.alloc(8192), new Random(1), {
      contexts: [{ name: 'x:y', status: (_offset, length) => [{ length, flags: 1 }] }],
      blockSize: { minimum: 512, preferred: 512, maximum: 65536 },
      fastZero: 'native',
      multiConn: true,
      ...more,
    }).device;
  for (const [what, more, words] of [
    ['another size', { size: 4096n }, /has 4096 bytes now instead of 8192/],
    ['no method', { trim: undefined }, /has no trim any more/],
    ['no FUA', { fua: undefined }, /has no fua any more/],
    ['no fast zeroing', { fastZero: 'none' }, /has no fastZero any more/],
    ['no sharing', { multiConn: false }, /cannot be shared/],
    ['no context', { contexts: [] }, /has no context x:y any more/],
    ['larger blocks', { blockSize: { minimum: 4096, preferred: 4096, maximum: 65536 } }, /4096/],
    ['a lower limit', { blockSize: { minimum: 1, preferred: 512, maximum: 512 } }, /512 bytes at/],
  ] as const) {
    test(`${what}: it cannot take the place of the first one, and is closed`, async () => {
      let closed = 0;
      const close = () => void closed++;
      const reopenable = new Reopenable(disk(), () => disk({ ...more, close }));
      await assert.rejects(reopenable.reopen(), failed('EIO', words));
      await assert.rejects(async () => await reopenable.device.read(0n, 1), failed('EIO', words));
      await reopenable.device.close!();
      assert.equal(closed, 1);
    });
  }

  test('one that can do more takes its place', async () => {
    const able = disk();
    const plain = disk({ fua: undefined, trim: undefined, contexts: undefined });
    const reopenable = new Reopenable(plain, () => ({ ...able, blockSize: undefined }));
    await reopenable.reopen();
    const { device } = reopenable;
    assert.deepEqual([device.fua, device.trim, device.contexts], [undefined, undefined, undefined]);
    await device.write!(0n, Buffer.alloc(512));
  });

  test('not after it was closed', async () => {
    const reopenable = new Reopenable(disk(), () => assert.fail('opened'));
    await reopenable.device.close!();
    await assert.rejects(reopenable.reopen(), failed('ESHUTDOWN', /closed/));
  });
});
