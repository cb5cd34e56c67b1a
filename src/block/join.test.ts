import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lateDisk, type Members } from '../../test/block/late-disk.ts';
import { deviceContract } from '../../test/contract/contract.ts';
import { openPlugin, REQUEST } from '../../test/contract/open.ts';
import { Random, readBytes } from '../testing/model.ts';
import { checked } from './checked.ts';
import { constantDevice, paddingDevice, remakeConstant, remakePadding } from './constant.ts';
import type { BlockDevice, BlockSize } from './device.ts';
import { joinDevices, remakeJoin } from './join.ts';
import { remake } from './recipe.ts';
import { supportOf } from './support.ts';
import { PASS, wrapDevice } from './wrap.ts';

deviceContract(
  'joined memory',
  async () =>
    joinDevices([
      await openPlugin('memory', '1000'),
      await openPlugin('memory', '0'),
      await openPlugin('memory', '1'),
      await openPlugin('memory', '100000', 'allocator=malloc'),
      await openPlugin('memory', '1M'),
    ]),
  { writes: 'kept' },
);

deviceContract(
  'joined constants',
  () => joinDevices([constantDevice(Buffer.alloc(5000, 'ab')), paddingDevice(1n << 62n)]),
  { writes: 'checked' },
);

test('it can be written when all of its parts can', async () => {
  const memory = await openPlugin('memory', '1000');
  const device = joinDevices([memory, await openPlugin('ones', '1000')]);
  assert.equal(device.write, undefined);
  assert.deepEqual(await readBytes(device, 999n, 2), Buffer.from([0, 0xff]));
});

test('closing it closes all, even when one fails', async () => {
  const closed: number[] = [];
  const part = (index: number) => ({
    ...paddingDevice(1n),
    close: () => {
      closed.push(index);
      if (index === 0) throw new Error('first');
    },
  });
  await assert.rejects(async () => await joinDevices([part(0), part(1)]).close!(), /first/);
  assert.deepEqual(closed, [0, 1]);
});

const blocks = (minimum: number, more: Partial<BlockSize> = {}): BlockSize => ({
  minimum,
  preferred: Math.max(512, minimum),
  maximum: 65536,
  ...more,
});

const long = (minimum: number) => blocks(minimum, { maximum: 1 << 20 });

const strict = async (size: string, blockSize: BlockSize) =>
  checked(
    wrapDevice(await openPlugin('memory', size), { ...PASS, writeBuffer: undefined, blockSize }),
  );

deviceContract(
  'joined blocks that fit',
  async () =>
    checked(joinDevices([await strict('64K', long(4096)), await strict('96K', long(512))])),
  { writes: 'kept', steps: 60 },
);
deviceContract(
  'joined blocks that do not fit',
  async () =>
    checked(
      joinDevices([
        await strict('99999', blocks(4096)),
        await openPlugin('memory', '777'),
        await strict('99999', blocks(512, { maximum: 1024 })),
      ]),
    ),
  { writes: 'kept', steps: 60 },
);

/** A disk of some bytes that answers late, and which notes what reaches it. */
const part = (size: number, more: Members = {}) =>
  lateDisk(Buffer.alloc(size, size), new Random(1), more);
const join = (...parts: Members[]) => joinDevices(parts.map(more => part(8192, more).device));

describe('joined devices', () => {
  test('have the block size of all', () => {
    const sizes = (...all: (BlockSize | undefined)[]) =>
      join(...all.map(blockSize => ({ blockSize }))).blockSize;
    assert.equal(sizes(undefined, undefined), undefined);
    assert.deepEqual(sizes(blocks(512), undefined, blocks(4096)), {
      ...blocks(4096),
      advisory: undefined,
    });
    const hint = blocks(1, { preferred: 65536, maximum: 1 << 20, advisory: true });
    assert.deepEqual(sizes(blocks(512), hint), {
      ...blocks(512, { preferred: 65536 }),
      advisory: undefined,
    });
    assert.deepEqual(sizes(hint, hint), hint);
    assert.equal(sizes(blocks(512, { maximum: 9999 }), hint)?.preferred, 8192);
    assert.equal(sizes(blocks(16384), undefined)?.minimum, 1);
    assert.equal(sizes(blocks(65536), blocks(512, { maximum: 1024 }))?.minimum, 1);
  });

  test('keep what all parts have', () => {
    const native = join({}, {});
    assert.deepEqual(
      [native.fua, native.description, native.rotational],
      ['native', undefined, false],
    );
    assert.equal(join({}, { fua: undefined }).fua, 'emulated');
    assert.equal(join({}, { fua: 'none' }).fua, 'none');
    assert.equal(join({ description: 'a' }, {}, { description: 'b' }).description, 'a, b');
    assert.equal(join({ rotational: true }, {}).rotational, true);
    assert.equal(join({ resize: () => {} }).resize, undefined);
    const none = join({ trim: undefined, zero: undefined, cache: undefined, extents: undefined });
    assert.deepEqual([none.trim, none.zero, none.cache, none.extents], Array(4).fill(undefined));
    assert.equal(supportOf(none).zero, 'emulated');
    const plain = { zero: undefined, cache: undefined };
    assert.equal(supportOf(join({}, { ...plain, zeroing: 'none' })).zero, 'none');
    assert.equal(supportOf(join(plain, { fastZero: 'native' })).fastZero, 'emulated');
    assert.equal(supportOf(join({ fastZero: 'native' })).fastZero, 'native');
    assert.equal(supportOf(join({ ...plain, caching: 'emulated' })).cache, 'emulated');
    assert.equal(supportOf(join({ ...plain, caching: 'emulated' }, plain)).cache, 'none');
    const contexts = [{ name: 'x:y', status: () => [] }];
    assert.equal(join({ contexts }).contexts, contexts);
    assert.equal(join({ contexts }, { contexts }).contexts, undefined);
  });

  test('are asked for their parts with every option, and lent memory once', async () => {
    const { signal } = new AbortController();
    const seen: unknown[] = [];
    const note =
      (what: string) =>
      (_offset: bigint, _length: unknown, options: object = {}) =>
        void seen.push({ ...options, what });
    const noting: Members = {
      ...{ write: note('write'), zero: note('zero'), trim: note('trim'), cache: note('cache') },
      fastZero: 'native',
      extents: (offset, length, options) => {
        note('extents')(offset, length, options);
        return [{ length, hole: false, zero: false }];
      },
    };
    const device = join(noting, noting);
    let lent = 0;
    const memory = (length: number) => {
      lent += length;
      return Buffer.alloc(length, 0xee);
    };
    const data = await device.read(8000n, 1000, { memory, signal });
    assert.equal(lent, 1000);
    const buffers = new Set((data as Uint8Array[]).map(({ buffer }) => buffer));
    assert.equal(buffers.size, 1);
    await device.write!(8191n, Buffer.alloc(2), { fua: true, signal });
    await device.trim!(8191n, 2, { fua: true, signal });
    await device.cache!(8191n, 2, { signal });
    await device.extents!(8191n, 2, { one: true, signal });
    await device.zero!(8191n, 2, { fua: true, mayTrim: true, fastZero: true, signal });
    const twice = (options: object) => [options, options];
    assert.deepEqual(seen, [
      ...twice({ what: 'write', fua: true, signal }),
      ...twice({ what: 'trim', fua: true, signal }),
      ...twice({ what: 'cache', signal }),
      { what: 'extents', one: true, signal },
      ...twice({ what: 'zero', fua: true, mayTrim: true, fastZero: true, signal }),
    ]);
  });

  test('stop between parts when nobody waits any more', async () => {
    const client = new AbortController();
    const write = () => client.abort(new Error('gone'));
    const device = join({ write }, { write: () => assert.fail('written') });
    const { signal } = client;
    await assert.rejects(
      async () => await device.write!(8191n, Buffer.alloc(2), { signal }),
      /gone/,
    );
  });

  test('lend write buffers within a part whose blocks are those of the row', async () => {
    const memory = await openPlugin('memory', '8K');
    const odd = await openPlugin('memory', '5000');
    const device = joinDevices([memory, odd, await openPlugin('memory', '8K'), paddingDevice(9n)]);
    assert.equal(device.writeBuffer!(8191n, 2), undefined);
    assert.equal(device.writeBuffer!(13_192n, 2), undefined);
    assert.equal(device.writeBuffer!(21_384n, 9), undefined);
    const buffer = device.writeBuffer!(8192n, 3)!;
    (buffer.memory as Uint8Array).fill(7);
    await buffer.done();
    assert.deepEqual(await readBytes(odd, 0n, 4), Buffer.from([7, 7, 7, 0]));
  });

  test('are made again of their recipe', async () => {
    const makers = { join: remakeJoin, constant: remakeConstant, padding: remakePadding };
    const make = (by: string | undefined) => makers[by as keyof typeof makers];
    const device = joinDevices([constantDevice(Buffer.from('ab')), paddingDevice(3n)]);
    const again = await remake(structuredClone(device.recipe!), make, REQUEST);
    assert.deepEqual(await readBytes(again, 0n, 5), Buffer.from('ab\0\0\0'));
    assert.equal(join({}).recipe, undefined);
    const odd: BlockDevice = { ...paddingDevice(3n), blockSize: blocks(512) };
    assert.equal(joinDevices([odd, paddingDevice(512n)]).recipe, undefined);
  });

  test('of which none has a byte', () => {
    const device = joinDevices([paddingDevice(0n), paddingDevice(0n)]);
    assert.equal(device.size, 0n);
  });
});
