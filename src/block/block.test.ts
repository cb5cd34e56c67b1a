import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { byteLength, contiguous, isKnownZero, isZero, sliceData, zeroes } from './data.ts';
import type { BlockDevice, Extent, WriteOptions } from './device.ts';
import { allExtents, zeroRange } from './emulate.ts';
import { BlockError, errnoOf, messageOf, UsageError } from './errors.ts';
import { cutRuns, ExtentList, runsFrom } from './extents.ts';
import { humanSize, parseSize } from './size.ts';
import { sliceDevice } from './slice.ts';
import { PASS, wrapDevice } from './wrap.ts';

const hole = (length: number): Extent => ({ length, hole: true, zero: true });
const full = (length: number): Extent => ({ length, hole: false, zero: false });

describe('bytes', () => {
  test('zeroes of any length are known as such', () => {
    for (const length of [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000]) {
      const data = zeroes(length);
      assert.equal(byteLength(data), length);
      for (const view of data instanceof Uint8Array ? [data] : data) assert.ok(isKnownZero(view));
      assert.ok(isZero(contiguous(data)));
    }
    assert.ok(!isKnownZero(Buffer.alloc(10)));
  });

  test('one byte that is not zero is seen wherever it is', () => {
    const bytes = Buffer.alloc(3_000_000);
    assert.ok(isZero(bytes));
    for (const at of [0, 1, (1 << 20) - 1, 1 << 20, 2_999_999]) {
      bytes[at] = 1;
      assert.ok(!isZero(bytes), `at ${at}`);
      bytes[at] = 0;
    }
  });

  test('a part of bytes that are in several views', () => {
    const whole = Buffer.from('abcdefghij');
    const views = [whole.subarray(0, 3), whole.subarray(3, 4), whole.subarray(4)];
    for (let start = 0; start <= 10; start++) {
      for (let length = 0; start + length <= 10; length++) {
        const part = sliceData(views, start, length);
        const expected = whole.subarray(start, start + length);
        assert.deepEqual(Buffer.from(contiguous(part)), expected);
      }
    }
  });
});

describe('sizes', () => {
  const good: Readonly<Record<string, bigint>> = {
    '0': 0n,
    '512': 512n,
    '1b': 1n,
    '3s': 1536n,
    '1k': 1024n,
    '+5': 5n,
    ' 5': 5n,
    '7E': 7n << 60n,
    '9223372036854775807': 2n ** 63n - 1n,
    ' 1G': 1n << 30n,
  };
  for (const [text, size] of Object.entries(good)) {
    test(`'${text}'`, () => assert.equal(parseSize(text), size));
  }
  for (const text of [
    ...[
      '',
      '1X',
      '9E',
      '8E',
      '-1',
      '+',
      '1.5',
      '1.5G',
      '5 ',
      '8E-1',
      '1..5k',
      '0x10',
      '1 k',
      'k',
      '1kk',
      '1e3',
      '٣',
    ],
    ...['9223372036854775808', '1.0000000000000000001k', '99999999999999999999', '1.7b'],
  ]) {
    test(`'${text}' is none`, () => assert.throws(() => parseSize(text), UsageError));
  }

  test('for people', () => {
    const sizes = [0n, 1n, 1023n, 1024n, 1536n, 3n << 29n, 1n << 30n, 7n << 60n];
    const texts = ['0', '1', '1023', '1K', '1536', '1536M', '1G', '7E'];
    assert.deepEqual(sizes.map(humanSize), texts);
  });
});

describe('extents', () => {
  test('neighbours of one kind become one', () => {
    const list = new ExtentList();
    list.addData(1);
    list.addData(2);
    list.addHole(0);
    list.addData(3);
    list.addHole(4);
    list.add(5, true, false);
    assert.deepEqual(list.extents, [full(6), hole(4), { length: 5, hole: true, zero: false }]);
    assert.equal(list.length, 15);
  });

  test('cut to a length', () => {
    assert.deepEqual(cutRuns([full(4), hole(4), full(4)], 0, 6), [full(4), hole(2)]);
    assert.deepEqual(cutRuns([full(4), hole(4)], 0, 4), [full(4)]);
    assert.deepEqual(cutRuns([full(4)], 0, 100), [full(4)]);
    assert.deepEqual(cutRuns([full(4), hole(4), full(4)], 5, 4), [hole(3), full(1)]);
    assert.deepEqual(cutRuns([full(4)], 4, 4), []);
  });

  test('as far as they begin within a length', () => {
    assert.deepEqual(runsFrom([full(4), hole(4), full(4)], 2, 2), [full(2)]);
    assert.deepEqual(runsFrom([full(4), hole(4), full(4)], 4, 1), [hole(4)]);
    assert.deepEqual(runsFrom([full(4), hole(4), full(4)], 0, 100), [full(4), hole(4), full(4)]);
    assert.deepEqual(runsFrom([full(4)], 4, 4), []);
  });

  test('all of a range from a device that answers little by little', async () => {
    const device: BlockDevice = {
      size: 100n,
      read: (_at, length) => zeroes(length),
      extents: offset => [offset % 20n < 10n ? full(10 - Number(offset % 10n)) : hole(50)],
    };
    assert.deepEqual(await allExtents(device, 5n, 10), [full(5), hole(5)]);
    const stubborn = { ...device, extents: () => [] };
    await assert.rejects(allExtents(stubborn, 0n, 10), BlockError);
  });
});

/** A device that notes what reaches it. */
function noting(more: Partial<BlockDevice> = {}): { device: BlockDevice; notes: string[] } {
  const notes: string[] = [];
  const device: BlockDevice = {
    size: 1n << 30n,
    read: (_at, length) => zeroes(length),
    write: (offset, data, options?: WriteOptions) => {
      notes.push(`write ${offset}+${data.length}${options?.fua ? ' fua' : ''}`);
    },
    flush: () => {
      notes.push('flush');
    },
    ...more,
  };
  return { device, notes };
}

describe('zeroing', () => {
  const failing = (errno: 'ENOTSUP' | 'EIO') => () => {
    throw new BlockError(errno, 'no');
  };

  test('by writing, in pieces, where there is nothing better', async () => {
    const { device, notes } = noting();
    await zeroRange(device, 7n, (1 << 20) + 5);
    assert.deepEqual(notes, [`write 7+${1 << 20}`, `write ${7 + (1 << 20)}+5`]);
  });

  test('where the device says ENOTSUP', async () => {
    const { device, notes } = noting({ zero: failing('ENOTSUP') });
    await zeroRange(device, 0n, 512, { fua: true });
    assert.deepEqual(notes, ['write 0+512', 'flush']);
  });

  test('FUA of a device that has it', async () => {
    const { device, notes } = noting({ fua: 'native' });
    await zeroRange(device, 0n, 512, { fua: true });
    assert.deepEqual(notes, ['write 0+512 fua']);
  });

  test('never by writing when it must be fast, nor after another error', async () => {
    const slow = (error: unknown) => errnoOf(error) === 'ENOTSUP';
    for (const more of [{}, { zero: failing('ENOTSUP') }, { zero: () => {} }]) {
      const { device, notes } = noting(more);
      await assert.rejects(zeroRange(device, 0n, 512, { fastZero: true }), slow);
      assert.deepEqual(notes, []);
    }
    const { device, notes } = noting({ zero: failing('EIO') });
    await assert.rejects(zeroRange(device, 0n, 512), (error: unknown) => errnoOf(error) === 'EIO');
    assert.deepEqual(notes, []);
  });

  test('a read-only device refuses', async () => {
    const device: BlockDevice = { size: 512n, read: (_at, length) => zeroes(length) };
    await assert.rejects(
      zeroRange(device, 0n, 512),
      (error: unknown) => errnoOf(error) === 'EPERM',
    );
  });
});

describe('errors', () => {
  test('the errno of anything', () => {
    const system = (code: string) => Object.assign(new Error(code), { code });
    assert.equal(errnoOf(new BlockError('ENOSPC', 'x')), 'ENOSPC');
    for (const [code, errno] of [
      ['EDQUOT', 'ENOSPC'],
      ['EFBIG', 'ENOSPC'],
      ['EOPNOTSUPP', 'ENOTSUP'],
      ['EPERM', 'EPERM'],
      ['EWHATEVER', 'EIO'],
    ] as const) {
      assert.equal(errnoOf(system(code)), errno);
    }
    for (const thrown of [undefined, null, 'text', {}, new Error('x')]) {
      assert.equal(errnoOf(thrown), 'EIO');
    }
    assert.equal(messageOf('text'), 'text');
  });
});

describe('devices made of devices', () => {
  test('a slice moves every offset, also those of contexts that are objects of a class', async () => {
    class Dirty {
      readonly name = 'x:dirty';
      readonly #flags = 5;
      status(offset: bigint, length: number) {
        return [{ length, flags: this.#flags + Number(offset) }];
      }
    }
    const { device, notes } = noting({ contexts: [new Dirty()], extents: () => [hole(1000)] });
    const slice = sliceDevice(device, 100n, 50n);
    assert.equal(slice.size, 50n);
    await slice.write!(3n, Buffer.alloc(2));
    assert.deepEqual(notes, ['write 103+2']);
    assert.deepEqual(await slice.extents!(10n, 5), [hole(40)]);
    assert.deepEqual(await slice.contexts![0]!.status(1n, 4), [{ length: 4, flags: 106 }]);
    assert.equal(slice.trim, undefined);
  });

  test('what a wrapper leaves out passes, and stays absent where it was', async () => {
    const { device, notes } = noting({ multiConn: true, description: 'below' });
    const wrapped = wrapDevice(device, { ...PASS, description: 'above' });
    assert.deepEqual([wrapped.multiConn, wrapped.description], [true, 'above']);
    assert.deepEqual([wrapped.trim, wrapped.cache], [undefined, undefined]);
    await wrapped.write!(0n, Buffer.alloc(1));
    assert.deepEqual(notes, ['write 0+1']);
  });
});
