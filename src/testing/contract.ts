import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checked } from '../block/checked.ts';
import { contiguous, zeroes } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { type Makers, remake } from '../block/recipe.ts';
import { checkCancellation, checkKeptAnswers, turned } from './lifetime.ts';
import { checkExtents, Model, Random, readBytes, windowsOf } from './model.ts';
import { makersOf, REQUEST } from './open.ts';

/** How a device takes writes. */
export type Writes =
  /** They are read back. */
  | 'kept'
  /** They succeed when they change nothing, else EIO. */
  | 'checked'
  /** They succeed and change nothing. */
  | 'forgotten'
  /** They fail with this error. */
  | 'ENOSPC'
  | 'EPERM'
  /** There are no methods for them. */
  | 'none';

export interface ContractOptions {
  readonly writes: Writes;
  /** Random requests a window; 150 unless told. */
  readonly steps?: number;
  /** Bytes of a window; 200,000 unless told. */
  readonly window?: number;
  /** What another thread would make it again with: `makersOf` the plugin and filters it is of. */
  readonly makers?: Makers;
}

/**
 * The suite that every device passes: registers tests of one device, for `node --test`, against the
 * contract of `BlockDevice`. `open` is called once a test; what it gives is closed.
 */
export function deviceContract(
  name: string,
  open: () => BlockDevice | Promise<BlockDevice>,
  { writes, steps = 150, window = 200_000, makers = makersOf() }: ContractOptions,
): void {
  const withDevice = (what: string, body: (device: BlockDevice) => Promise<void>) => {
    test(what, async () => {
      const device = checked(await open());
      try {
        await body(device);
      } finally {
        await device.close?.();
      }
      assert.ok(
        Buffer.compare(contiguous(zeroes(1 << 20)), Buffer.alloc(1 << 20)) === 0,
        'the shared zeroes are zero',
      );
    });
  };

  describe(`the contract: ${name}`, () => {
    withDevice('properties', async device => checkProperties(device, writes));
    withDevice('reads do not depend on how they are cut', device => checkReads(device, window));
    withDevice('runs of extents', device => checkRuns(device));
    withDevice('kept answers', device => checkKeptAnswers(device, writes === 'kept'));
    withDevice('cancellation', device => checkCancellation(device));
    withDevice('made again', device => checkRemade(device, writes, makers));
    if (writes === 'kept') {
      withDevice('random requests under a filter that turns every bit', async device => {
        for (const place of windowsOf(device, window).slice(0, 1)) {
          const model = new Model(turned(device), place, new Random(77));
          await model.load();
          for (let step = 0; step < steps / 3; step++) await model.step();
          await model.check();
        }
      });
      withDevice('random requests, one after the other', async device => {
        for (const [index, place] of windowsOf(device, window).entries()) {
          const model = new Model(device, place, new Random(index + 1));
          await model.load();
          for (let step = 0; step < steps; step++) await model.step();
          await model.check();
        }
      });
      withDevice('random requests at the same time', device => checkParallel(device, steps));
    } else {
      withDevice(`writes: ${writes}`, device => checkOddWrites(device, writes));
    }
  });
}

function checkProperties(device: BlockDevice, writes: Writes): void {
  if (writes === 'none') {
    const { write, writeBuffer, trim, zero } = device;
    assert.deepEqual([write, writeBuffer, trim, zero], Array(4).fill(undefined));
  } else {
    assert.ok(device.write, 'it can be written');
  }
  if (device.fua === 'native') assert.ok(device.flush, 'what is durable can be flushed');
}

async function checkReads(device: BlockDevice, window: number): Promise<void> {
  const random = new Random(7);
  const unit = device.blockSize?.minimum ?? 1;
  for (const { offset, length } of windowsOf(device, window)) {
    const whole = await readBytes(device, offset, length);
    for (let round = 0; round < 20; round++) {
      const units = length / unit;
      const start = random.below(units) * unit;
      const part = (1 + random.below(units - start / unit)) * unit;
      const scratch = round % 2 ? Buffer.alloc(part + 3, 0xee) : undefined;
      const bytes = await readBytes(device, offset + BigInt(start), part, scratch);
      assert.ok(bytes.equals(whole.subarray(start, start + part)), `${part} at ${start}`);
    }
  }
}

async function checkRuns(device: BlockDevice): Promise<void> {
  if (device.size === 0n || !device.extents) return;
  const long = device.size < 1n << 50n ? Number(device.size) : 2 ** 50;
  const first = await device.extents(0n, long);
  assert.ok(first.length > 0 && first.every(run => run.length > 0), 'over everything');
  const unit = BigInt(device.blockSize?.minimum ?? 1);
  const last = ((device.size - 1n) / unit) * unit;
  await checkExtents(device, last, Number(device.size - last));
  for (const { offset, length } of windowsOf(device, 1 << 20)) {
    await checkExtents(device, offset, length);
  }
}

/** Neighbouring windows, each with its own sequence of requests, none waiting for another. */
async function checkParallel(device: BlockDevice, steps: number): Promise<void> {
  const [all] = windowsOf(device, 1 << 20);
  if (!all) return;
  const unit = device.blockSize?.minimum ?? 1;
  const length = Math.floor(all.length / unit / 4) * unit;
  if (length === 0) return;
  await Promise.all(
    [0, 1, 2, 3].map(async index => {
      const place = { offset: all.offset + BigInt(index * length), length };
      const model = new Model(device, place, new Random(100 + index));
      await model.load();
      for (let step = 0; step < steps / 4; step++) await model.step();
      await model.check();
    }),
  );
}

/** What its recipe makes is the same disk: same bytes, and each sees what the other has written. */
async function checkRemade(device: BlockDevice, writes: Writes, makers: Makers): Promise<void> {
  // A disk in memory is shared from its first page on.
  const [first] = windowsOf(device, 70_000);
  if (writes === 'kept' && first) await device.write!(first.offset, Buffer.alloc(first.length));
  if (!device.recipe) return;
  const again = checked(await remake(structuredClone(device.recipe), makers, REQUEST));
  try {
    assert.equal(again.size, device.size);
    assert.deepEqual(again.blockSize, device.blockSize);
    for (const { offset, length } of windowsOf(device, 70_000)) {
      if (writes === 'kept') await device.write!(offset, new Random(5).bytes(length));
      const bytes = await readBytes(device, offset, length);
      assert.ok(bytes.equals(await readBytes(again, offset, length)), `bytes at ${offset}`);
      if (writes !== 'kept') continue;
      const changed = new Random(6).bytes(length);
      await again.write!(offset, changed);
      assert.ok(changed.equals(await readBytes(device, offset, length)), `written at ${offset}`);
    }
  } finally {
    await again.close?.();
  }
}

async function checkOddWrites(device: BlockDevice, writes: Writes): Promise<void> {
  const unit = device.blockSize?.minimum ?? 1;
  for (const { offset, length } of windowsOf(device, 70_000)) {
    if (writes === 'none') continue;
    const before = await readBytes(device, offset, length);
    const middle = Math.floor(length / 2 / unit) * unit;
    const changed = Buffer.from(before);
    changed[middle] = changed[middle]! ^ 0x40;
    const failing = (errno: string) => (error: unknown) =>
      error instanceof BlockError && error.errno === errno;
    const put = async (bytes: Uint8Array) => await device.write!(offset, bytes);
    if (writes === 'forgotten') {
      await put(changed);
      await device.zero?.(offset, length);
    } else if (writes === 'checked') {
      await put(before);
      await assert.rejects(put(changed), failing('EIO'));
    } else {
      await assert.rejects(put(before), failing(writes));
      await assert.rejects(async () => await device.zero?.(offset, length), failing(writes));
      await assert.rejects(async () => await device.trim?.(offset, length), failing(writes));
    }
    assert.ok(before.equals(await readBytes(device, offset, length)), 'nothing has changed');
  }
}
