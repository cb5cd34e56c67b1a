/** Damaged images of all formats: what is wrong is said, or the disk is read. */
import assert from 'node:assert/strict';
import type { BlockDevice } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';
import { openImage } from '../../src/formats/open-image.ts';
import type { Image } from '../../src/images/image.ts';
import type { Random } from '../../src/testing/model.ts';
import { OverlayMemory } from '../peer/overlay-memory.ts';
import { fuzz, mutate } from './fuzz.ts';
import { FIXTURES, type Fixture, imageBytes, PASSPHRASE } from './image-fixtures.ts';

const WINDOW = 100_000;

for (const fixture of FIXTURES) {
  let good: Promise<Buffer> | undefined;
  const play = async (random: Random) => {
    good ??= imageBytes(fixture);
    const file = damaged(await good, fixture, random);
    await withWords(() => use(file, fixture.format, random));
  };
  const { format, options = '', parts } = fixture;
  fuzz(`${format} ${options} ${parts.join(' ')}`, play, { share: 0.06 });
}

/** What is behind a damaged part stays where it is, but where the file is cut. */
function damaged(good: Buffer, { parts, mend }: Fixture, random: Random): OverlayMemory {
  const file = new OverlayMemory(good);
  for (const [from, to] of parts) {
    const start = from < 0 ? good.length + from : from;
    const end = Math.min(good.length, to <= 0 ? good.length + to : to);
    const bytes = mutate(good.subarray(start, end), random);
    file.write(BigInt(start), bytes.subarray(0, end - start));
  }
  if (random.below(10) === 0) file.resize(BigInt(random.below(good.length)));
  if (random.below(4) > 0) mend?.(file);
  return file;
}

/** It is read and written, or looked through, or mended and read. */
async function use(file: OverlayMemory, format: string, random: Random): Promise<void> {
  const secret = () => Buffer.from(PASSPHRASE);
  const open = (how: { readOnly: boolean; checking?: boolean }) =>
    openImage({ device: file }, { format, secret, ...how });
  const kind = random.below(4);
  if (kind === 0) await closing(await open({ readOnly: true }), ({ device }) => read(device));
  else if (kind === 1) {
    const image = await open({ readOnly: false, checking: true });
    await closing(image, async ({ check, device }) => {
      await check?.();
      await check?.('all');
      await read(device);
    });
  } else await closing(await open({ readOnly: false }), write);
}

async function closing(image: Image, act: (image: Image) => Promise<void>): Promise<void> {
  await withWords(() => act(image));
  await withWords(() => image.device.close?.());
}

/** At the beginning and the end. */
function windows({ size }: BlockDevice): (readonly [offset: bigint, length: number])[] {
  const length = Number(size < BigInt(WINDOW) ? size : WINDOW);
  return length === 0
    ? []
    : [
        [0n, length],
        [size - BigInt(length), length],
      ];
}

async function read(device: BlockDevice): Promise<void> {
  for (const [offset, length] of windows(device)) {
    await withWords(() => device.read(offset, length));
    await withWords(() => device.extents?.(offset, length));
  }
}

async function write({ device, snapshots, bitmaps }: Image): Promise<void> {
  await read(device);
  for (const [offset, length] of windows(device)) {
    await withWords(() => device.write!(offset, Buffer.alloc(length, 1)));
    await withWords(() => device.zero?.(offset, length, { mayTrim: true }));
    await withWords(() => device.flush!());
  }
  for (const { id } of snapshots?.list() ?? []) {
    await withWords(() => snapshots!.apply(id));
    await withWords(() => snapshots!.remove(id));
  }
  for (const { name } of bitmaps?.list() ?? []) await withWords(() => bitmaps!.bits(name));
}

/** Every failure has words. */
async function withWords(act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    assert.ok(error instanceof BlockError, (error as Error).stack);
  }
}
