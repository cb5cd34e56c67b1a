import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice } from '../block/device.ts';
import { ImageFile } from './image-file.ts';
import { TableCache } from './table-cache.ts';

const SLICE = 512;

/** A file whose writes end when they are told to. */
function slowFile() {
  const bytes = Buffer.alloc(4 * SLICE);
  const ends: (() => void)[] = [];
  const device: BlockDevice = {
    size: BigInt(bytes.length),
    read: (offset, length) => Buffer.from(bytes.subarray(Number(offset), Number(offset) + length)),
    write: async (offset, data) => {
      await new Promise<void>(resolve => ends.push(resolve));
      bytes.set(data, Number(offset));
    },
  };
  return { bytes, device, endOne: () => ends.shift()?.() };
}

test('what is changed while tables are written is written the next time', async () => {
  // A change comes at every step between the end of one slice's writing and the next one's.
  for (let steps = 0; steps < 12; steps++) {
    const { bytes, device, endOne } = slowFile();
    const tables = new TableCache(new ImageFile(device), SLICE, 1 << 20);
    const set = (slice: number, at: number) =>
      tables.edit(slice * SLICE, at, 1, changed => changed.writeUInt8(7, at));
    const write = async (meanwhile: () => Promise<void>) => {
      const writing = tables.write();
      await meanwhile();
      const timer = setInterval(endOne, 0);
      await writing;
      clearInterval(timer);
    };
    for (const slice of [0, 1, 2]) await set(slice, 0);
    let change: unknown;
    await write(async () => {
      await new Promise(resolve => setImmediate(resolve));
      endOne();
      for (let step = 0; step < steps; step++) await undefined;
      change = set(1, 100);
    });
    await change;
    await write(async () => {});
    assert.deepEqual([bytes[SLICE], bytes[SLICE + 100]], [7, 7], `after ${steps} steps`);
    assert.equal(tables.waiting, 0);
  }
});
