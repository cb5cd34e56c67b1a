/** Power is lost while images of all formats are written: what was flushed is there. */
import assert from 'node:assert/strict';
import type { BlockDevice } from '../../src/block/device.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { type Random, readBytes } from '../../src/testing/model.ts';
import { fuzz } from '../fuzz/fuzz.ts';
import { GrowingMemory, makeImage } from '../peer/images.ts';
import { LosingMemory } from '../peer/losing-memory.ts';

const SIZE = 1 << 20;
const SECTOR = 512;
const SECTORS = SIZE / SECTOR;

const FORMATS: readonly (readonly [format: string, options: string])[] = [
  ['qcow2', ''],
  ['qcow2', 'cluster_size=512,refcount_bits=64'],
  ['qcow2', 'cluster_size=16k,extended_l2=on'],
  ['qcow2', 'compat=0.10,cluster_size=4k'],
  ['vdi', ''],
  ['vpc', ''],
  ['vmdk', ''],
  ['vhdx', 'block_size=1M'],
];

const FILLED = Array.from({ length: 256 }, (_, value) => Buffer.alloc(SECTOR, value));

/** Which bytes each sector may have: that of the last flush, and those written since. */
class Expected {
  readonly #settled = new Uint8Array(SECTORS);
  readonly #since = new Map<number, Set<number>>();

  wrote(sector: number, value: number): void {
    const values = this.#since.get(sector) ?? new Set([this.#settled[sector]!]);
    this.#since.set(sector, values.add(value));
  }

  async flushed(device: BlockDevice): Promise<void> {
    const content = await readBytes(device, 0n, SIZE);
    for (const sector of this.#since.keys()) this.#settled[sector] = content[sector * SECTOR]!;
    this.#since.clear();
  }

  check(content: Buffer): void {
    for (let sector = 0; sector < SECTORS; sector++) {
      const bytes = content.subarray(sector * SECTOR, (sector + 1) * SECTOR);
      const value = bytes[0]!;
      const allowed = this.#since.get(sector) ?? new Set([this.#settled[sector]!]);
      const uniform = bytes.equals(FILLED[value]!);
      assert.ok(uniform && allowed.has(value), `sector ${sector} is not one of ${[...allowed]}`);
    }
  }
}

for (const [format, options] of FORMATS) {
  let blank: Promise<Buffer> | undefined;
  const play = async (random: Random) => {
    blank ??= blankImage(format, options);
    await crash(await blank, format, random);
  };
  fuzz(`power loss, ${format} ${options}`, play, { least: 50, script: 'crash' });
}

async function blankImage(format: string, options: string): Promise<Buffer> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(SIZE), options);
  return file.bytes;
}

async function crash(blank: Buffer, format: string, random: Random): Promise<void> {
  const file = new LosingMemory(blank);
  const { device } = await openImage({ device: file }, { format, readOnly: false });
  const expected = new Expected();
  for (let step = 2 + random.below(10); step > 0; step--) {
    await Promise.all(Array.from({ length: 3 }, (_, lane) => act(device, expected, random, lane)));
    if (random.below(4) > 0) continue;
    await device.flush!();
    await expected.flushed(device);
  }
  // In the middle of requests, and of a flush.
  const under = [
    device.flush!(),
    act(device, expected, random, 0),
    act(device, expected, random, 2),
  ];
  const late = Promise.allSettled(under);
  for (let turns = random.below(120); turns > 0; turns--) await null;
  file.losePower(random);
  await late;
  file.hasPower = true;
  await holds(file, format, expected);
}

/** One request, in a third of the disk of its own. */
async function act(device: BlockDevice, expected: Expected, random: Random, lane: number) {
  const third = Math.floor(SECTORS / 3);
  const first = lane * third + random.below(third - 150);
  const count = 1 + random.below(random.below(3) === 0 ? 150 : 16);
  const [offset, length] = [BigInt(first * SECTOR), count * SECTOR];
  const kind = random.below(8);
  const value = kind < 2 ? 0 : 1 + random.below(255);
  for (let sector = first; sector < first + count; sector++) expected.wrote(sector, value);
  if (kind === 0 && device.zero) await device.zero(offset, length, { mayTrim: true });
  else if (kind === 1 && device.trim) await device.trim(offset, length);
  else await device.write!(offset, Buffer.alloc(length, value));
}

async function holds(device: BlockDevice, format: string, expected: Expected): Promise<void> {
  const image = await openImage({ device }, { format, readOnly: true, checking: true });
  const report = await image.check?.();
  assert.deepEqual([report?.corruptions ?? 0, report?.errors ?? 0], [0, 0], `${report?.findings}`);
  expected.check(await readBytes(image.device, 0n, SIZE));
}
