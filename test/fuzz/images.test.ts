/** Damaged images of all formats: what is wrong is said, or the disk is read. */
import assert from 'node:assert/strict';
import { BlockError } from '../../src/block/errors.ts';
import { openImage } from '../../src/formats/open-image.ts';
import type { Random } from '../../src/testing/model.ts';
import { GrowingMemory, makeImage, scribble } from '../peer/images.ts';
import { fuzz, mutate } from './fuzz.ts';

const SIZE = 4 << 20;
const WINDOW = 100_000;

/** A part of a file, from one byte up to another; what is below 0 counts from the end. */
type Part = readonly [from: number, to: number];

const KIB = 1024;

/** Formats, how they are made, and the parts of their files that tell where things are. */
const FORMATS: readonly (readonly [format: string, options: string, ...parts: Part[]])[] = [
  ['qcow2', 'cluster_size=4096', [0, 120]],
  ['qcow2', 'cluster_size=512', [0, 20_000]],
  ['vdi', '', [0, 600]],
  ['vpc', '', [0, 1600], [-512, 0]],
  ['vpc', 'subformat=fixed', [-512, 0]],
  ['vmdk', '', [0, 20_000]],
  ['vmdk', 'subformat=streamOptimized', [0, 70_000]],
  ['vhdx', 'block_size=1048576', [64 * KIB, 64 * KIB + 80], [192 * KIB, 192 * KIB + 80]],
  ['vhdx', 'block_size=1048576', [2048 * KIB, 2048 * KIB + 64]],
  ['vhdx', 'block_size=1048576', [3072 * KIB, 3072 * KIB + 200]],
  ['vhdx', 'block_size=1048576', [3136 * KIB, 3136 * KIB + 40]],
];

for (const [format, options, ...parts] of FORMATS) {
  let good: Promise<Buffer> | undefined;
  const play = async (random: Random) => {
    good ??= imageBytes(format, options);
    let damaged = await good;
    for (const [from, to] of parts) {
      const start = from < 0 ? damaged.length + from : from;
      const end = to <= 0 ? damaged.length + to : to;
      const [before, after] = [damaged.subarray(0, start), damaged.subarray(end)];
      damaged = Buffer.concat([before, mutate(damaged.subarray(start, end), random), after]);
    }
    try {
      await use(new GrowingMemory(damaged), format);
    } catch (error) {
      assert.ok(error instanceof BlockError, (error as Error).stack);
    }
  };
  fuzz(`${format} ${options} ${parts.join(' ')}`, play, { share: 0.1 });
}

async function imageBytes(format: string, options: string): Promise<Buffer> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(SIZE), options);
  const { device } = await openImage({ device: file }, { format, readOnly: false });
  // What is compressed is written as a whole, and once.
  if (options.includes('stream')) await device.write!(1n << 20n, Buffer.alloc(1 << 18, 'text'));
  else await scribble(device, Buffer.alloc(SIZE), { count: 5 });
  await device.close?.();
  return file.bytes;
}

/** Reads at the beginning and the end, and writes, while every failure has words. */
async function use(file: GrowingMemory, format: string): Promise<void> {
  const { device } = await openImage({ device: file }, { format, readOnly: false });
  const end = device.size > BigInt(WINDOW) ? device.size - BigInt(WINDOW) : 0n;
  for (const offset of [0n, end]) {
    const length = Number(device.size - offset < BigInt(WINDOW) ? device.size - offset : WINDOW);
    if (length === 0) continue;
    const acts = [
      () => device.read(offset, length),
      () => device.extents?.(offset, length),
      () => device.write!(offset, Buffer.alloc(length, 1)),
      () => device.flush!(),
    ];
    for (const act of acts) await refusedWithWords(act);
  }
  await refusedWithWords(() => device.close?.());
}

async function refusedWithWords(act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    assert.ok(error instanceof BlockError, (error as Error).stack);
  }
}
