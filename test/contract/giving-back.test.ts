/** What is discarded gives its room back, and is nobody else's as long as it is read. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BlockDevice } from '../../src/block/device.ts';
import { allExtents } from '../../src/block/emulate.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { readBytes } from '../../src/testing/model.ts';
import { GrowingMemory, makeImage } from '../peer/images.ts';

const IMAGES: readonly (readonly [format: string, options: string, block: number])[] = [
  ['qcow2', '', 1 << 16],
  ['qcow2', 'extended_l2=on', 1 << 16],
  ['vmdk', 'zeroed_grain=on', 1 << 16],
  ['vhdx', 'block_size=1M', 1 << 20],
  ['vpc', '', 1 << 21],
];

/** A file of which a read waits, if it is told to, until it is let go. */
class LateMemory extends GrowingMemory {
  late: Promise<void> | undefined;

  override read(offset: bigint, length: number): Buffer {
    if (!this.late) return super.read(offset, length);
    return this.late.then(() => super.read(offset, length)) as never;
  }

  trim(offset: bigint, length: number): void {
    this.bytes.fill(0, Number(offset), Number(offset) + length);
  }
}

async function opened(format: string, options: string, block: number) {
  const file = new LateMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(8 * block), options);
  const { device } = await openImage({ device: file }, { format, readOnly: false });
  for (let index = 0; index < 6; index++) await put(device, block, index, 1 + index);
  await device.flush!();
  return { file, device };
}

async function put(device: BlockDevice, block: number, index: number, value: number) {
  await device.write!(BigInt(index * block), Buffer.alloc(block, value));
}

async function isGood(file: GrowingMemory, format: string): Promise<BlockDevice> {
  const image = await openImage({ device: file }, { format, readOnly: true, checking: true });
  const { corruptions, leaks } = await image.check!();
  assert.deepEqual([corruptions, leaks], [0, 0]);
  return image.device;
}

for (const [format, options, block] of IMAGES) {
  describe(`${format} ${options}`, () => {
    test('what is discarded is zeroes without room, which others get', async () => {
      const { file, device } = await opened(format, options, block);
      const before = file.bytes.length;
      await device.trim!(BigInt(block), 2 * block);
      await device.zero!(BigInt(4 * block), block, { mayTrim: true });
      const extents = await allExtents(device, 0n, 8 * block);
      const zeroes = extents
        .filter(({ zero }) => zero)
        .reduce((sum, { length }) => sum + length, 0);
      assert.equal(zeroes, 5 * block);
      await device.flush!();
      // Of one's own, and of what was others'.
      for (const index of [1, 6, 7]) await put(device, block, index, 100 + index);
      await device.write!(BigInt(2 * block + 512), Buffer.alloc(512, 9));
      await device.flush!();
      assert.ok(file.bytes.length <= before + block + (1 << 20), `${file.bytes.length} ${before}`);
      await device.close!();
      const again = await isGood(file, format);
      const content = await readBytes(again, 0n, 8 * block);
      const expected = [1, 101, 0, 4, 0, 6, 106, 107];
      for (const [index, value] of expected.entries()) {
        const part = Buffer.alloc(block, value);
        if (index === 2) part.fill(9, 512, 1024);
        assert.ok(content.subarray(index * block, (index + 1) * block).equals(part), `${index}`);
      }
    });

    test('what is read meanwhile is what was there, or zeroes', async () => {
      const { file, device } = await opened(format, options, block);
      let letGo!: () => void;
      file.late = new Promise(resolve => {
        letGo = resolve;
      });
      const reading = device.read(BigInt(2 * block), 4096);
      file.late = undefined;
      await device.trim!(BigInt(2 * block), block);
      await device.flush!();
      for (const index of [6, 7]) await put(device, block, index, 200);
      await device.flush!();
      letGo();
      const [value] = Buffer.concat([await reading].flat() as Uint8Array[]);
      assert.equal(value, 3);
      await device.flush!();
      await device.close!();
      await isGood(file, format);
    });
  });
}
