/** Three random filters over a random disk, beside a model of what each does to the bytes. */
import assert from 'node:assert/strict';
import { checked } from '../../src/block/checked.ts';
import { contiguous } from '../../src/block/data.ts';
import type { BlockDevice, Data } from '../../src/block/device.ts';
import { applyMask, maskOf } from '../../src/filters/xor/mask.ts';
import { Model, type Random, readBytes } from '../../src/testing/model.ts';
import { openOver, openPlugin } from '../contract/open.ts';
import { StrictDevice } from '../peer/strict-device.ts';
import { fuzz } from './fuzz.ts';

const STEPS = 25;

/** A filter, and what it shows of the bytes below. */
interface Layer {
  readonly words: string;
  view(bytes: Buffer): Buffer;
}

const whole = (bytes: Buffer) => bytes;

/** Filters that change nothing of what is there. */
const PASSING = [
  'blocksize-policy blocksize-minimum=512',
  'cacheextents',
  'count',
  'delay',
  'error error-rate=50% error-file=/none',
  'exitlast',
  'exportname exportdesc=fixed:x',
  'fua fuamode=force',
  'fua fuamode=native',
  'ip deny=anyipv4',
  'limit limit=1',
  'log',
  'multi-conn multi-conn-mode=emulate',
  'nocache cachemode=emulate',
  'noextents',
  'nofilter',
  'noparallel serialize=all-requests',
  'nozero zeromode=emulate',
  'nozero zeromode=notrim',
  'openonce',
  'protect protect=100G-',
  'quota quota=1E',
  'rate rate=1T',
  'readahead',
  'rotational',
  'scan scan-size=512',
  'time-limit',
];

/** Filters that do, for a disk of so many bytes, in blocks of so many. */
const CHANGING: readonly ((random: Random, size: number, minimum: number) => Layer)[] = [
  (random, size) => {
    const offset = random.below(size);
    const range = 1 + random.below(size - offset);
    const view = (bytes: Buffer) => bytes.subarray(offset, offset + range);
    return { words: `offset offset=${offset} range=${range}`, view };
  },
  (random, size) => {
    const length = 1 + random.below(size);
    return { words: `truncate truncate=${length}`, view: bytes => bytes.subarray(0, length) };
  },
  (random, size, minimum) => {
    const block = 1 << random.below(13);
    const view = (bytes: Buffer) => bytes.subarray(0, size - (size % Math.max(block, minimum)));
    return { words: `blocksize minblock=${block} maxdata=8192`, view };
  },
  random => {
    const bits = [8, 16, 32, 64][random.below(4)]!;
    const view = (bytes: Buffer) => {
      const turned = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % (bits / 8))));
      if (bits === 16) return turned.swap16();
      if (bits === 32) return turned.swap32();
      return bits === 64 ? turned.swap64() : bytes;
    };
    return { words: `swab swab-bits=${bits}`, view };
  },
  random => {
    const value = random.below(2) ? `rand:${random.below(9)}` : String(random.below(1 << 30));
    const mask = maskOf(value, undefined);
    const view = (bytes: Buffer) => {
      const combined = Buffer.from(bytes);
      applyMask(mask, 0n, combined);
      return combined;
    };
    return { words: `xor xor=${value}`, view };
  },
  (random, size) => {
    const length = 1 + random.below(Math.max(1, size >> 1));
    const from = random.below(size - length + 1);
    const to = random.below(size - length + 1);
    // Exchanged where they do not overlap; else both show the same bytes, which no model knows.
    if (Math.abs(from - to) < length) return { words: 'nofilter', view: whole };
    const range = (start: number) => `${start}-${start + length - 1}`;
    const view = (bytes: Buffer) => {
      const moved = Buffer.from(bytes);
      bytes.copy(moved, to, from, from + length);
      bytes.copy(moved, from, to, to + length);
      return moved;
    };
    return { words: `map map=${range(to)}:${from} map=${range(from)}:${to}`, view };
  },
];

function layerFor(random: Random, { size: bytes, blockSize }: BlockDevice): Layer {
  const size = Number(bytes);
  if (size === 0 || random.below(3) === 0) {
    return { words: PASSING[random.below(PASSING.length)]!, view: whole };
  }
  return CHANGING[random.below(CHANGING.length)]!(random, size, blockSize?.minimum ?? 1);
}

/** In memory, or one that takes whole blocks only and answers late. */
async function randomDisk(random: Random): Promise<BlockDevice> {
  const size = 1 + random.below(60_000);
  const minimum = [0, 512, 4096][random.below(3)]!;
  if (random.below(2)) {
    const memory = await openPlugin('memory', String(size));
    await memory.write!(0n, random.bytes(Math.min(size, 9000)));
    return memory;
  }
  const blockSize = { minimum, preferred: 4096, maximum: 32768 };
  return new StrictDevice(random.bytes(size), minimum ? { blockSize } : {});
}

async function bytesOf(device: BlockDevice): Promise<Buffer> {
  const pieces: Data[] = [];
  for (let at = 0; at < device.size; at += 32768) {
    const length = Math.min(32768, Number(device.size) - at);
    pieces.push(await readBytes(device, BigInt(at), length));
  }
  return Buffer.concat(pieces.map(contiguous));
}

fuzz('stacks of filters', async random => {
  const disk = await randomDisk(random);
  let top = checked(disk);
  const layers: Layer[] = [];
  for (let count = 0; count < 3; count++) {
    const layer = layerFor(random, top);
    top = checked(await openOver(top, layer.words));
    layers.push(layer);
  }
  const stack = layers.map(({ words }) => words).join(' | ');
  try {
    const expected = async () =>
      layers.reduce((bytes, { view }) => view(bytes), await bytesOf(disk));
    assert.ok((await bytesOf(top)).equals(await expected()), 'before anything was written');
    if (top.size === 0n) return;
    const most = Math.min(Number(top.size), top.blockSize?.maximum ?? Number(top.size), 30_000);
    const unit = top.blockSize?.minimum ?? 1;
    const model = new Model(top, { offset: 0n, length: most - (most % unit) }, random);
    if (most < unit) return;
    await model.load();
    for (let step = 0; step < STEPS; step++) await model.step();
    await model.check();
    assert.ok((await bytesOf(top)).equals(await expected()), 'what is below');
    await top.close?.();
  } catch (error) {
    throw new Error(`${disk.size} bytes: ${stack}`, { cause: error });
  }
});
