import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lateDisk } from '../../test/block/late-disk.ts';
import { deviceContract } from '../../test/contract/contract.ts';
import { openPlugin } from '../../test/contract/open.ts';
import { Random, readBytes } from '../testing/model.ts';
import { alignedDevice } from './aligned.ts';
import { checked } from './checked.ts';
import type { BlockDevice, BlockSize } from './device.ts';
import { errnoOf } from './errors.ts';
import { RangeLock } from './range-lock.ts';
import { PASS, wrapDevice } from './wrap.ts';

const blocks = (minimum: number, maximum = 65536): BlockSize => ({
  minimum,
  preferred: Math.max(512, minimum),
  maximum,
});

/** The device, which takes whole blocks only and says so when it gets something else. */
const strict = (device: BlockDevice, blockSize: BlockSize) =>
  checked(wrapDevice(device, { ...PASS, writeBuffer: undefined, blockSize }));

for (const [words, size, blockSize] of [
  [['memory', '1M'], 'blocks of 4096', blocks(4096)],
  [['memory', '300001'], 'a short last block', blocks(4096)],
  [['memory', '1M'], 'large blocks', blocks(65536)],
  [['memory', '1M'], 'sectors, and requests of 1 KiB', blocks(512, 1024)],
  [['memory', '100000000001'], 'a disk of which the middle is looked at', blocks(4096, 8192)],
] as const) {
  deviceContract(
    `aligned: ${size}`,
    async () => {
      const [plugin, ...parameters] = words;
      return checked(alignedDevice(strict(await openPlugin(plugin, ...parameters), blockSize)));
    },
    { writes: 'kept', steps: 100 },
  );
}

/** Writers of neighbouring ranges of odd lengths, several of them in each block. */
async function write(device: BlockDevice, seed: number, end: number): Promise<Buffer> {
  const model = Buffer.alloc(end);
  const writers: Promise<void>[] = [];
  const random = new Random(seed);
  for (let start = 0; start < end; ) {
    const length = Math.min(1 + random.below(random.below(4) === 0 ? 9000 : 700), end - start);
    writers.push(keepWriting(device, model, start, length, new Random(seed * 1000 + start)));
    start += length;
  }
  await Promise.all(writers);
  return model;
}

async function keepWriting(
  device: BlockDevice,
  model: Buffer,
  start: number,
  length: number,
  random: Random,
): Promise<void> {
  for (let step = 0; step < 15; step++) {
    const at = start + random.below(length);
    const part = 1 + random.below(start + length - at);
    if (random.below(5) === 0) {
      await device.zero!(BigInt(at), part);
      model.fill(0, at, at + part);
    } else {
      const bytes = random.bytes(part);
      await device.write!(BigInt(at), bytes);
      bytes.copy(model, at);
    }
    const found = await readBytes(device, BigInt(start), length);
    assert.ok(found.equals(model.subarray(start, start + length)), `bytes from ${start} on`);
  }
}

describe('parts of blocks', () => {
  for (const [minimum, maximum, end] of [
    [512, 65536, 20_000],
    [4096, 8192, 50_001],
    [65536, 65536, 140_000],
  ] as const) {
    test(`writers of one block of ${minimum} lose nothing of each other`, async () => {
      for (let seed = 1; seed <= 3; seed++) {
        const disk = lateDisk(Buffer.alloc(end), new Random(seed));
        const device = alignedDevice(strict(disk.device, blocks(minimum, maximum)));
        const model = await write(device, seed, end);
        assert.ok(disk.bytes.equals(model));
        assert.ok(disk.most > 2, 'they do not wait for each other for nothing');
      }
    });
  }

  test('a write of a whole block is not undone by one of a part of it', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const disk = lateDisk(Buffer.alloc(4096), new Random(seed));
      const device = alignedDevice(strict(disk.device, blocks(4096)));
      const part = device.write!(5n, Buffer.alloc(1, 1));
      await Promise.all([part, device.write!(0n, Buffer.alloc(4096, 2))]);
      disk.bytes[5] = 2;
      assert.ok(disk.bytes.equals(Buffer.alloc(4096, 2)));
    }
  });

  test('nor do those of several devices over one disk that share locks', async () => {
    const disk = lateDisk(Buffer.alloc(30_000), new Random(9));
    const locks = new RangeLock();
    const open = () => alignedDevice(strict(disk.device, blocks(4096)), { locks });
    const devices = [open(), open(), open()];
    let turn = 0;
    const inTurn = (method: 'write' | 'zero') =>
      ((...request: never[]) =>
        (devices[turn++ % 3]![method] as (...all: never[]) => void)(...request)) as never;
    const model = await write(
      { ...devices[0]!, write: inTurn('write'), zero: inTurn('zero') },
      4,
      30_000,
    );
    assert.ok(disk.bytes.equals(model));
  });
});

describe('what is sent down', () => {
  const open = (minimum: number, maximum?: number, size = 100_000, options = {}) => {
    const disk = lateDisk(Buffer.alloc(size, 7), new Random(1));
    const device = alignedDevice(strict(disk.device, blocks(minimum, maximum)), options);
    return { ...disk, device };
  };

  test('whole blocks go straight through, and keep FUA', async () => {
    const { device, notes } = open(4096);
    await device.write!(4096n, Buffer.alloc(8192), { fua: true });
    await device.zero!(4096n, 4096);
    await device.read(0n, 4096);
    assert.deepEqual(notes, ['write 4096+8192 fua', 'zero 4096+4096', 'read 0+4096']);
  });

  test('a part of a block is read, changed and written', async () => {
    const { device, notes, bytes } = open(4096);
    await device.write!(5000n, Buffer.alloc(10, 1), { fua: true });
    assert.deepEqual(notes, ['read 4096+4096', 'write 4096+4096 fua']);
    assert.deepEqual(
      bytes.subarray(4998, 5012),
      Buffer.from('0707010101010101010101010707', 'hex'),
    );
  });

  test('long requests are cut between blocks that no failed write tears', async () => {
    const { device, notes } = open(512, 8192 + 512);
    await device.write!(512n, Buffer.alloc(16_384));
    await device.read(512n, 10_000);
    assert.deepEqual(notes, [
      ...['write 512+7680', 'write 8192+8192', 'write 16384+512'],
      ...['read 512+8192', 'read 8704+2048'],
    ]);
  });

  test('a trim leaves parts of blocks alone', async () => {
    const { device, notes, bytes } = open(4096);
    await device.trim!(4000n, 10_000);
    await device.trim!(1n, 4096);
    await device.trim!(98_000n, 2000);
    assert.deepEqual(notes, ['trim 4096+8192', 'trim 98304+1696']);
    assert.equal(bytes[4000], 7);
  });

  test('the runs of a range', async () => {
    const { device, notes } = open(4096);
    assert.deepEqual(await device.extents!(5000n, 100), [
      { length: 3192, hole: false, zero: false },
    ]);
    assert.deepEqual(await device.extents!(99_999n, 1), [{ length: 1, hole: false, zero: false }]);
    await device.cache!(5000n, 4096);
    assert.deepEqual(notes, ['extents 4096+4096', 'extents 98304+1696', 'cache 4096+8192']);
  });

  test('zeroing a part of a block is not fast', async () => {
    const { device, notes } = open(4096);
    const slow = (error: unknown) => errnoOf(error) === 'ENOTSUP';
    await assert.rejects(async () => await device.zero!(1n, 5000, { fastZero: true }), slow);
    assert.deepEqual(notes, []);
  });

  test('a minimum of its own', () => {
    const { device } = open(4096, 65536, 100_000, { minimum: 512 });
    assert.deepEqual(device.blockSize, { minimum: 512, preferred: 4096, maximum: 2 ** 32 - 1 });
  });

  test('a failed write lets the next one at the block', async () => {
    const disk = lateDisk(Buffer.alloc(8192), new Random(1));
    let failures = 1;
    const write = disk.device.write!;
    const device = alignedDevice({
      ...disk.device,
      blockSize: blocks(4096),
      write: (...request) => {
        if (failures-- > 0) throw new Error('once');
        return write(...request);
      },
    });
    const first = Promise.resolve(device.write!(1n, Buffer.alloc(3, 1)));
    const second = Promise.resolve(device.write!(2n, Buffer.alloc(3, 2)));
    await assert.rejects(first, /once/);
    await second;
    assert.deepEqual(disk.bytes.subarray(0, 6), Buffer.from([0, 0, 2, 2, 2, 0]));
  });

  test('a device that takes everything is given back', async () => {
    const device = await openPlugin('memory', '1M');
    assert.equal(alignedDevice(device), device);
    const advisory = wrapDevice(device, { ...PASS, blockSize: { ...blocks(512), advisory: true } });
    assert.equal(alignedDevice(advisory), advisory);
  });
});
