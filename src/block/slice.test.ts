import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lateDisk } from '../../test/block/late-disk.ts';
import { deviceContract } from '../../test/contract/contract.ts';
import { openPlugin, REQUEST } from '../../test/contract/open.ts';
import { Random, readBytes } from '../testing/model.ts';
import { checked } from './checked.ts';
import { constantDevice, remakeConstant } from './constant.ts';
import type { BlockDevice, ExtentsOptions, RequestOptions } from './device.ts';
import { remake } from './recipe.ts';
import { remakeSlice, sliceDevice } from './slice.ts';
import { PASS, wrapDevice } from './wrap.ts';

const blockSize = { minimum: 4096, preferred: 4096, maximum: 1 << 20 };
const strict = async () => {
  const memory = await openPlugin('memory', '1M');
  return checked(wrapDevice(memory, { ...PASS, writeBuffer: undefined, blockSize }));
};

for (const [start, size] of [
  [1n, 300_000n],
  [4096n, 300_032n],
  [0n, 1n << 19n],
  [8192n, (1n << 20n) - 8192n],
] as const) {
  deviceContract(
    `${size} bytes from ${start} on, over blocks`,
    async () => checked(sliceDevice(await strict(), start, size)),
    { writes: 'kept', steps: 60 },
  );
}
deviceContract(
  'a slice of memory where no block begins',
  async () => sliceDevice(await openPlugin('memory', '1M'), 777n, 500_000n),
  { writes: 'kept', steps: 60 },
);

describe('a slice', () => {
  test('that does not fit the blocks sends whole ones all the same', async () => {
    const { device, notes, bytes } = lateDisk(Buffer.alloc(16_384, 1), new Random(1), {
      blockSize,
    });
    const slice = sliceDevice(checked(device), 1n, 10_000n);
    assert.equal(slice.blockSize?.minimum, 1);
    await slice.write!(4095n, Buffer.alloc(4096, 2));
    await slice.write!(4096n, Buffer.alloc(2, 3));
    await slice.zero!(9999n, 1);
    assert.deepEqual(notes, [
      'write 4096+4096',
      ...['read 4096+4096', 'write 4096+4096', 'read 8192+4096', 'write 8192+4096'],
    ]);
    assert.deepEqual(bytes.subarray(4095, 4101), Buffer.from([1, 2, 3, 3, 2, 2]));
    assert.deepEqual(bytes.subarray(9999, 10_002), Buffer.from([1, 0, 1]));
  });

  test('that fits them keeps the block size, also with a short last block', () => {
    const { device } = lateDisk(Buffer.alloc(10_000), new Random(1), { blockSize });
    assert.deepEqual(sliceDevice(device, 4096n, 4096n).blockSize, blockSize);
    assert.deepEqual(sliceDevice(device, 4096n, 5904n).blockSize, blockSize);
    assert.equal(sliceDevice(device, 4096n, 5000n).blockSize!.minimum, 1);
  });

  test('hands every option down, and cuts runs at its end', async () => {
    const { signal } = new AbortController();
    const seen: unknown[] = [];
    const note = (offset: bigint, _what: unknown, options?: RequestOptions | ExtentsOptions) =>
      void seen.push([offset, options]);
    const runs = [20, 30, 500].map(length => ({ length, hole: true, zero: false }));
    const device: BlockDevice = {
      size: 1000n,
      read: (...request) => {
        note(...request);
        return Buffer.alloc(request[1]);
      },
      ...{ write: note, zero: note, trim: note, cache: note },
      extents: (...request) => {
        note(...request);
        return runs;
      },
      contexts: [
        {
          name: 'x:y',
          status: async (...request) => {
            note(...request);
            return runs.map(({ length }) => ({ length, flags: 5 }));
          },
        },
      ],
      resize: () => {},
    };
    const slice = sliceDevice(device, 100n, 200n);
    assert.equal(slice.resize, undefined);
    await slice.read(1n, 1, { signal, memory: Buffer.alloc });
    await slice.write!(2n, Buffer.alloc(1), { signal, fua: true });
    await slice.zero!(3n, 1, { signal, mayTrim: true });
    await slice.trim!(4n, 1, { signal });
    await slice.cache!(5n, 1, { signal });
    assert.deepEqual(
      slice.extents!(160n, 40, { signal, one: true }),
      [20, 20].map(length => ({ length, hole: true, zero: false })),
    );
    assert.deepEqual(await slice.contexts![0]!.status(190n, 10, { signal }), [
      { length: 10, flags: 5 },
    ]);
    assert.deepEqual(seen, [
      [101n, { signal, memory: Buffer.alloc }],
      [102n, { signal, fua: true }],
      [103n, { signal, mayTrim: true }],
      [104n, { signal }],
      [105n, { signal }],
      [260n, { signal, one: true }],
      [290n, { signal }],
    ]);
  });

  test('lends write buffers only where its blocks are those of the device', async () => {
    const memory = await openPlugin('memory', '1M');
    assert.equal(sliceDevice(memory, 512n, 4096n).writeBuffer, undefined);
    const slice = sliceDevice(memory, 8192n, 65536n);
    const buffer = slice.writeBuffer!(5n, 3)!;
    (buffer.memory as Uint8Array).fill(7);
    await buffer.done();
    assert.deepEqual([...((await memory.read(8196n, 5)) as Uint8Array)], [0, 7, 7, 7, 0]);
  });

  test('is made again of its recipe, unless it has locks', async () => {
    const makers = (by: string | undefined) => (by === 'slice' ? remakeSlice : remakeConstant);
    const slice = sliceDevice(sliceDevice(constantDevice(Buffer.from('abcdef')), 1n, 5n), 1n, 2n);
    const recipe = structuredClone(slice.recipe!);
    const again = await remake(recipe, makers, REQUEST);
    assert.equal(`${await readBytes(again, 0n, 2)}`, 'cd');
    const blocky = { ...constantDevice(Buffer.alloc(8192)), blockSize };
    assert.equal(sliceDevice(blocky, 1n, 5n).recipe, undefined);
    assert.ok(sliceDevice(blocky, 4096n, 4096n).recipe);
  });
});
