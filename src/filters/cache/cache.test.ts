import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { Random, readBytes } from '../../testing/model.ts';

const MIB = 1 << 20;
const K64 = 1 << 16;
const MODES = ['writeback', 'writethrough', 'unsafe'] as const;

const SHAPES: readonly (readonly [size: string, ...parameters: string[]])[] = [
  ...MODES.map(mode => ['1000001', `cache=${mode}`] as const),
  ['3M', 'cache-min-block-size=4096', 'cache-max-size=1M', 'cache-on-read=true'],
  ['3M', 'cache=writethrough', 'cache-max-size=1M', 'cache-on-read=true'],
  ['1T', 'cache-on-read=true', 'cache-min-block-size=1M'],
];
for (const [size, ...parameters] of SHAPES) {
  const open = async () => {
    const source = await filterSource(await pluginSource('memory', size), 'cache', ...parameters);
    return source.open(REQUEST);
  };
  deviceContract(`cache ${parameters.join(' ')}`, open, { writes: 'kept', steps: 80 });
}

/** A memory disk that stays, with calls that can be watched and made to fail. */
async function watched() {
  const memory = await openPlugin('memory', '4M');
  const asked: string[] = [];
  const failing = new Set<string>();
  const call = <T>(what: string, act: () => T): T => {
    asked.push(what);
    if (failing.has(what.split(' ')[0]!)) throw new BlockError('ENOSPC', 'full below');
    return act();
  };
  const device = wrapDevice(memory, {
    ...PASS,
    fua: 'emulated',
    read: (offset, length) => call(`read ${offset} ${length}`, () => memory.read(offset, length)),
    write: (offset, data) =>
      call(`write ${offset} ${data.length}`, () => memory.write!(offset, data)),
    zero: (offset, length) => call(`zero ${offset} ${length}`, () => memory.zero!(offset, length)),
    trim: (offset, length) => call(`trim ${offset} ${length}`, () => memory.trim!(offset, length)),
    flush: () => call('flush', () => {}),
    close: () => call('close', () => {}),
  });
  return { memory, asked, failing, source: { open: () => device } };
}

async function cached(mode: (typeof MODES)[number], ...parameters: string[]) {
  const below = await watched();
  const source = await filterSource(below.source, 'cache', `cache=${mode}`, ...parameters);
  const device = await source.open(REQUEST);
  const taken = () => below.asked.splice(0);
  return { ...below, source, device, taken };
}

const text = async (device: BlockDevice, length = 1) =>
  (await readBytes(device, 0n, length)).toString('latin1');

test('writeback: writes go below when they are flushed, whole blocks at a time', async () => {
  const { device, memory, taken } = await cached('writeback');
  await device.write!(0n, Buffer.from('hello'));
  await device.zero!(BigInt(2 * K64), K64);
  assert.deepEqual(taken(), [`read 0 ${K64}`]);
  assert.equal(await text(device, 5), 'hello');
  assert.equal(await text(memory, 5), '\0\0\0\0\0');
  await device.flush!();
  assert.deepEqual(taken(), [`write 0 ${K64}`, `zero ${2 * K64} ${K64}`, 'flush']);
  assert.equal(await text(memory, 5), 'hello');
  await device.flush!();
  assert.deepEqual(taken(), ['flush']);
});

test('writeback: FUA takes its own blocks below, and the end takes all', async () => {
  const { device, taken } = await cached('writeback');
  await device.write!(BigInt(K64), Buffer.alloc(K64, 1));
  await device.write!(0n, Buffer.alloc(K64, 1), { fua: true });
  assert.deepEqual(taken(), [`write 0 ${K64}`, 'flush']);
  await device.close!();
  assert.deepEqual(taken(), [`write ${K64} ${K64}`, 'close']);
});

test('writeback: what the disk below does not take stays, and is tried again', async () => {
  const { device, memory, failing } = await cached('writeback');
  await device.write!(0n, Buffer.from('x'));
  failing.add('write');
  await assert.rejects(async () => await device.flush!(), { errno: 'ENOSPC' });
  assert.equal(await text(device), 'x');
  failing.clear();
  await device.flush!();
  assert.equal(await text(memory), 'x');
});

test('writethrough: writes go below at once, and are read here', async () => {
  const { device, taken } = await cached('writethrough');
  await device.write!(5n, Buffer.from('x'));
  assert.deepEqual(taken(), ['write 5 1', `read 0 ${K64}`]);
  await device.write!(0n, Buffer.from('y'), { fua: true });
  assert.deepEqual(taken(), ['write 0 1', 'flush']);
  assert.equal(await text(device, 6), 'y\0\0\0\0x');
  assert.deepEqual(taken(), []);
});

test('writethrough: after an error what counts is what the disk below has', async () => {
  const { device, memory, failing } = await cached('writethrough');
  await device.write!(0n, Buffer.from('old'));
  failing.add('write');
  await assert.rejects(async () => await device.write!(0n, Buffer.from('new')), /full below/);
  await memory.write!(0n, Buffer.from('any'));
  assert.equal(await text(device, 3), 'any');
});

test('unsafe: nothing goes below, not even by flushes', async () => {
  const { device, taken } = await cached('unsafe');
  await device.write!(0n, Buffer.alloc(K64, 1), { fua: true });
  await device.flush!();
  await device.close!();
  assert.deepEqual(taken(), ['close']);
});

test('what was trimmed is gone here too, but for blocks of which it is a part', async () => {
  const { device, taken } = await cached('writeback');
  await device.write!(0n, Buffer.alloc(3 * K64, 1));
  await device.trim!(100n, 2 * K64);
  await device.flush!();
  assert.deepEqual(taken(), [
    `trim 100 ${2 * K64}`,
    `write 0 ${K64}`,
    `write ${2 * K64} ${K64}`,
    'flush',
  ]);
});

test('reads are kept where that is asked for', async () => {
  for (const [parameter, again] of [
    ['cache-on-read=false', [`read 10 100`]],
    ['cache-on-read=true', []],
  ] as const) {
    const { device, taken } = await cached('writeback', parameter);
    await device.read(10n, 100);
    taken();
    await device.read(10n, 100);
    assert.deepEqual(taken(), again, parameter);
  }
  const { device, taken } = await cached('writeback');
  await device.cache!(10n, 100);
  assert.deepEqual(taken(), [`read 0 ${K64}`]);
  await device.read(0n, K64);
  assert.deepEqual(taken(), []);
});

test('connections share the cache, and see the writes of each other', async () => {
  const { source, device } = await cached('writeback');
  const other = await source.open(REQUEST);
  await device.write!(0n, Buffer.from('x'));
  assert.equal(await text(other), 'x');
});

describe('cache-max-size', () => {
  const bounds = ['cache-max-size=1M', 'cache-high-threshold=50', 'cache-low-threshold=25'];

  test('the least recently used blocks go, changed ones to the disk below', async () => {
    const { device, taken } = await cached('writeback', ...bounds);
    const write = (block: number) => device.write!(BigInt(block * K64), Buffer.alloc(K64, 1));
    for (let block = 0; block < 8; block++) await write(block);
    assert.deepEqual(taken(), []);
    await device.read(0n, 1);
    await write(8);
    const gone = [1, 2, 3, 4, 5];
    assert.deepEqual(
      taken(),
      gone.map(block => `write ${block * K64} ${K64}`),
    );
    await device.read(0n, 1);
    assert.deepEqual(taken(), []);
  });

  test('those that the disk below does not take stay', async () => {
    const { device, failing } = await cached('writeback', ...bounds);
    failing.add('write');
    for (let block = 0; block < 12; block++) {
      await device.write!(BigInt(block * K64), Buffer.alloc(K64, block + 1));
    }
    for (let block = 0; block < 12; block++) {
      assert.equal((await readBytes(device, BigInt(block * K64), 1))[0], block + 1);
    }
  });

  test('random requests of several clients at once', async () => {
    const random = new Random(7);
    const { source, memory } = await cached('writeback', ...bounds, 'cache-on-read=true');
    const devices = await Promise.all([1, 2, 3].map(() => source.open(REQUEST)));
    const content = Buffer.alloc(4 * MIB);
    // Each has every third block of 10,000 bytes, so that they share blocks of the cache.
    const step = async (own: number) => {
      const at = (3 * random.below(130) + own) * 10_000;
      const bytes = Buffer.alloc(random.below(10_000) + 1, random.below(255) + 1);
      await devices[own]!.write!(BigInt(at), bytes);
      bytes.copy(content, at);
      assert.ok((await readBytes(devices[own]!, BigInt(at), bytes.length)).equals(bytes));
    };
    for (let round = 0; round < 150; round++) await Promise.all([0, 1, 2].map(step));
    await devices[0]!.flush!();
    assert.ok((await readBytes(memory, 0n, 4 * MIB)).equals(content));
  });

  test('words that contradict', async () => {
    const memory = await pluginSource('memory', '1M');
    for (const [words, refusal] of [
      [['cache-max-size=1000'], /cache-max-size: .*1048576/],
      [['cache-max-size=1M', 'cache-low-threshold=95'], /expected the low one to be less/],
      [['cache=always'], /cache: unknown value 'always': .*unsafe/],
    ] as const) {
      await assert.rejects(filterSource(memory, 'cache', ...words), refusal);
    }
  });
});

test('cache-file: what was not flushed goes below in a later run', async (t: TestContext) => {
  const file = `cache-file=${join(temporaryFolder(t), 'cache')}`;
  const disk = join(temporaryFolder(t), 'disk');
  writeFileSync(disk, Buffer.alloc(MIB));
  const open = async (mode: string) => {
    const source = await filterSource(
      await pluginSource('file', disk),
      'cache',
      file,
      `cache=${mode}`,
    );
    return { source, device: await source.open(REQUEST) };
  };
  const first = await open('unsafe');
  await first.device.write!(0n, Buffer.from('later'));
  await first.device.close!();
  await first.source.close!();
  const plain = await openPlugin('file', disk);
  assert.equal(await text(plain, 5), '\0\0\0\0\0');
  for (const mode of ['unsafe', 'writethrough']) {
    const { source, device } = await open(mode);
    assert.equal(await text(device, 5), 'later');
    await device.close!();
    await source.close!();
  }
  assert.equal(await text(plain, 5), 'later');
});
