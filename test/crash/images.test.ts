/** Power is lost while images of all formats are written: what was flushed is there. */
import assert from 'node:assert/strict';
import type { BlockDevice } from '../../src/block/device.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { type Random, readBytes } from '../../src/testing/model.ts';
import { fuzz } from '../fuzz/fuzz.ts';
import { GrowingMemory, makeImage } from '../peer/images.ts';
import { LosingMemory } from '../peer/losing-memory.ts';

const MIB = 1 << 20;
const SECTOR = 512;

/** Disks of 1 MiB, or so many that each third of one has whole blocks. */
const FORMATS: readonly (readonly [format: string, options: string, mebibytes?: number])[] = [
  ['qcow2', ''],
  ['qcow2', 'cluster_size=512,refcount_bits=64'],
  ['qcow2', 'cluster_size=16k,extended_l2=on'],
  ['qcow2', 'compat=0.10,cluster_size=4k'],
  ['vdi', ''],
  ['vpc', '', 6],
  ['vmdk', ''],
  ['vmdk', 'zeroed_grain=on'],
  ['vhdx', 'block_size=1M', 3],
];

const FILLED = Array.from({ length: 256 }, (_, value) => Buffer.alloc(SECTOR, value));

/** Which bytes each sector may have: that of the last flush, and those written since. */
class Expected {
  readonly size: number;
  readonly #settled: Uint8Array;
  readonly #since = new Map<number, Set<number>>();

  constructor(size: number) {
    this.size = size;
    this.#settled = new Uint8Array(size / SECTOR);
  }

  wrote(sector: number, value: number): void {
    const values = this.#since.get(sector) ?? new Set([this.#settled[sector]!]);
    this.#since.set(sector, values.add(value));
  }

  async flushed(device: BlockDevice): Promise<void> {
    const content = await readBytes(device, 0n, this.size);
    for (const sector of this.#since.keys()) this.#settled[sector] = content[sector * SECTOR]!;
    this.#since.clear();
  }

  check(content: Buffer): void {
    for (let sector = 0; sector < this.#settled.length; sector++) {
      const bytes = content.subarray(sector * SECTOR, (sector + 1) * SECTOR);
      const value = bytes[0]!;
      const allowed = this.#since.get(sector) ?? new Set([this.#settled[sector]!]);
      const uniform = bytes.equals(FILLED[value]!);
      assert.ok(uniform && allowed.has(value), `sector ${sector} is not one of ${[...allowed]}`);
    }
  }
}

for (const [format, options, mebibytes = 1] of FORMATS) {
  const size = mebibytes * MIB;
  let blank: Promise<Buffer> | undefined;
  const play = async (random: Random) => {
    blank ??= blankImage(format, options, size);
    await crash(await blank, format, new Expected(size), random);
  };
  fuzz(`power loss, ${format} ${options}`, play, { least: 50, script: 'crash' });
}

async function blankImage(format: string, options: string, size: number): Promise<Buffer> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(size), options);
  return file.bytes;
}

async function crash(blank: Buffer, format: string, expected: Expected, random: Random) {
  const file = new LosingMemory(blank);
  const { device } = await openImage({ device: file }, { format, readOnly: false });
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
  const kind = random.below(8);
  const third = Math.floor(expected.size / SECTOR / 3);
  const isWhole = kind < 2 && random.below(3) === 0;
  const first = lane * third + (isWhole ? 0 : random.below(third - 150));
  const count = isWhole ? third : 1 + random.below(random.below(3) === 0 ? 150 : 16);
  const [offset, length] = [BigInt(first * SECTOR), count * SECTOR];
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
  expected.check(await readBytes(image.device, 0n, expected.size));
}
