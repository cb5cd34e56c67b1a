/** Damaged images of all formats: what is wrong is said, or the disk is read. */
import assert from 'node:assert/strict';
import { BlockError } from '../../src/block/errors.ts';
import { openImage } from '../../src/formats/open-image.ts';
import type { Random } from '../../src/testing/model.ts';
import { GrowingMemory, makeImage, scribble } from '../peer/images.ts';
import { fuzz, mutate } from './fuzz.ts';

const SIZE = 4 << 20;
const WINDOW = 100_000;

/** Formats, how they are made, and how many bytes at the beginning and the end tell where things are. */
const FORMATS: readonly (readonly [format: string, options: string, head: number, tail: number])[] =
  [
    ['qcow2', 'cluster_size=4096', 120, 0],
    ['qcow2', 'cluster_size=512', 20_000, 0],
    ['vdi', '', 600, 0],
    ['vpc', '', 1600, 512],
    ['vpc', 'subformat=fixed', 0, 512],
  ];

for (const [format, options, head, tail] of FORMATS) {
  let good: Promise<Buffer> | undefined;
  const play = async (random: Random) => {
    good ??= imageBytes(format, options);
    const bytes = await good;
    const damaged = Buffer.concat([
      mutate(bytes.subarray(0, head), random),
      bytes.subarray(head, bytes.length - tail),
      mutate(bytes.subarray(bytes.length - tail), random),
    ]);
    try {
      await use(new GrowingMemory(damaged), format);
    } catch (error) {
      assert.ok(error instanceof BlockError, (error as Error).stack);
    }
  };
  fuzz(`${format} ${options}`, play, 0.1);
}

async function imageBytes(format: string, options: string): Promise<Buffer> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(SIZE), options);
  const { device } = await openImage({ device: file }, { format, readOnly: false });
  await scribble(device, Buffer.alloc(SIZE), { count: 5 });
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
      () => device.extents!(offset, length),
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
