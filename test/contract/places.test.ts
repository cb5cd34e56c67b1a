/** A copy in order gives images of all formats the same layout, however late its reads answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice } from '../../src/block/device.ts';
import { copy } from '../../src/copy/copy.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { Random } from '../../src/testing/model.ts';
import { GrowingMemory, makeImage } from '../peer/images.ts';

const SIZE = 6 << 20;
const IMAGES: readonly (readonly [format: string, options: string])[] = [
  ['qcow2', 'cluster_size=4096'],
  ['qcow2', 'cluster_size=16k,extended_l2=on'],
  ['vdi', ''],
  ['vpc', ''],
  ['vhdx', 'block_size=1M'],
  ['vmdk', ''],
];

for (const [format, options] of IMAGES) {
  test(`places in order: ${format} ${options}`, async () => {
    const random = new Random(4);
    const file = new GrowingMemory(Buffer.alloc(0));
    await makeImage(file, format, BigInt(SIZE), options);
    const image = await openImage({ device: file }, { format, readOnly: false });
    const to: BlockDevice = image.device;
    const granularity = Math.min(1 << 18, to.blockSize!.preferred);
    await copy(late(random), to, {
      requests: 16,
      requestSize: Math.max(1 << 18, granularity),
      granularity,
      destinationIsZero: true,
      inOrder: true,
    });
    let last = 0;
    for (let offset = 0; offset < SIZE; ) {
      const run = await image.find!(BigInt(offset), SIZE - offset);
      assert.ok((run.at ?? last) >= last, `${offset} is at ${run.at}, before ${last}`);
      last = run.at ?? last;
      offset += run.length;
    }
  });
}

/** Data and zeroes of many lengths, in answers that come in any order. */
function late(random: Random): BlockDevice {
  const bytes = Buffer.alloc(SIZE);
  for (let at = 0; at < SIZE; at += 4096 * (1 + random.below(60))) {
    bytes.fill(1 + random.below(255), at, at + 4096 * random.below(60));
  }
  const read = async (offset: bigint, length: number) => {
    for (let turns = random.below(40); turns > 0; turns--) await null;
    return bytes.subarray(Number(offset), Number(offset) + length);
  };
  return { size: BigInt(SIZE), read };
}
