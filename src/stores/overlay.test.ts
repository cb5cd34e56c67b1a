import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin } from '../../test/contract/open.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { PASS, wrapDevice } from '../block/wrap.ts';
import { readBytes } from '../testing/model.ts';
import { Overlay } from './overlay.ts';
import { sparseStore } from './sparse.ts';

const BLOCK = 4096;

/** An overlay over a disk of a pattern, with no room for anything. */
async function full(): Promise<{ below: BlockDevice; overlay: Overlay }> {
  const below = await openPlugin('pattern', '1M');
  const refuse = () => {
    throw new BlockError('ENOSPC', 'no room');
  };
  const blocks = wrapDevice(sparseStore(below.size), { ...PASS, write: refuse });
  return { below, overlay: new Overlay({ blocks }, below.size, BLOCK) };
}

for (const [what, offset, length] of [
  ['whole blocks', 0n, 2 * BLOCK],
  ['parts of blocks', 100n, 5000],
] as const) {
  test(`what cannot be kept is read all the same: ${what}`, async () => {
    const { below, overlay } = await full();
    const device = {
      size: below.size,
      read: (at: bigint, count: number) => overlay.readAndKeep(below, at, count),
    };
    const expected = await readBytes(below, offset, length);
    assert.ok((await readBytes(device, offset, length)).equals(expected));
  });
}

test('what was written below is written, though it cannot be kept', async () => {
  const { below, overlay } = await full();
  let through = 0;
  const write = () =>
    overlay.writeThrough(below, 10n, Buffer.alloc(10), () => {
      through += 1;
    });
  await write();
  assert.equal(through, 1);
  await assert.rejects(async () => await overlay.write(below, 10n, Buffer.alloc(10)), /no room/);
});

test('zeroes on all of a vast disk are told of below in one piece', async () => {
  const size = 2n ** 60n;
  const told: number[] = [];
  const blocks = wrapDevice(sparseStore(size), {
    ...PASS,
    trim: () => {
      throw new BlockError('EIO', 'there is nothing to trim');
    },
  });
  const below = sparseStore(size);
  const overlay = new Overlay({ blocks }, size, 1 << 16);
  const length = 2 ** 53 - 2 ** 16;
  await overlay.zero(below, 0n, length);
  await overlay.writeBack(overlay.all, (_, span) => void told.push(span));
  assert.deepEqual(told, [length]);
});
