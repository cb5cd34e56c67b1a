import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { contiguous, viewsOf } from '../block/data.ts';
import type { BlockDevice, Data, RequestOptions } from '../block/device.ts';
import { PASS, wrapDevice } from '../block/wrap.ts';
import { Random, readBytes, type Window, windowsOf } from './model.ts';

/** How long bytes live, and what becomes of requests that nobody waits for. */

/** Ranges of a window that do not overlap, in whole blocks. */
function rangesOf({ offset, length }: Window, unit: number, count: number): Window[] {
  const each = Math.floor(length / unit / count) * unit;
  if (each === 0) return [];
  return Array.from({ length: count }, (_, index) => ({
    offset: offset + BigInt(index * each),
    length: each,
  }));
}

/** Answers stay what they were while other ranges are read, cached, written, trimmed and zeroed. */
export async function checkKeptAnswers(device: BlockDevice, writable: boolean): Promise<void> {
  const unit = device.blockSize?.minimum ?? 1;
  for (const window of windowsOf(device, 300_000)) {
    const ranges = rangesOf(window, unit, 12);
    const kept = ranges.filter((_, index) => index % 2 === 0);
    const others = ranges.filter((_, index) => index % 2 === 1);
    const answers: { readonly data: Data; readonly copy: Buffer }[] = [];
    for (const { offset, length } of kept) {
      const data = await device.read(offset, length, { memory: Buffer.allocUnsafeSlow });
      answers.push({ data, copy: Buffer.from(contiguous(data)) });
    }
    for (const [index, { offset, length }] of others.entries()) {
      await readBytes(device, offset, length);
      await device.cache?.(offset, length);
      if (!writable) continue;
      await device.write?.(offset, new Random(index).bytes(length));
      await device[index % 3 ? 'trim' : 'zero']?.(offset, length, { mayTrim: true });
    }
    for (const [index, { data, copy }] of answers.entries()) {
      assert.ok(copy.equals(contiguous(data)), `the answer at ${kept[index]!.offset} has changed`);
    }
  }
}

/**
 * A request whose signal is aborted settles; memory that was lent to it is not written to after that;
 * and the device goes on working.
 */
export async function checkCancellation(device: BlockDevice): Promise<void> {
  const [window] = windowsOf(device, 100_000);
  if (!window) return;
  const { offset, length } = window;
  const before = await readBytes(device, offset, length);
  for (const early of [true, false]) {
    const lent: Buffer[] = [];
    const memory = (count: number) => {
      lent.push(Buffer.alloc(count, 0xee));
      return lent.at(-1)!;
    };
    await givenUp(early, options => device.read(offset, length, { ...options, memory }));
    const then = lent.map(buffer => Buffer.from(buffer));
    await givenUp(early, options => device.extents?.(offset, length, options));
    await givenUp(early, options => device.cache?.(offset, length, options));
    await givenUp(early, options => device.flush?.(options));
    for (let turns = 0; turns < 20; turns++) await turn();
    for (const [index, buffer] of lent.entries()) {
      assert.ok(buffer.equals(then[index]!), 'memory of a read that was over has changed');
    }
  }
  if (device.write) {
    await givenUp(false, options => device.write?.(offset, before, options));
  }
  assert.ok(before.equals(await readBytes(device, offset, length)), 'it works as before');
}

async function givenUp(
  early: boolean,
  ask: (options: RequestOptions) => unknown | PromiseLike<unknown>,
): Promise<void> {
  const controller = new AbortController();
  const reason = new Error('nobody waits');
  if (early) controller.abort(reason);
  const asked = (async () => ask({ signal: controller.signal }))();
  controller.abort(reason);
  await asked.catch(error => {
    assert.ok(error instanceof Error, 'an error');
  });
}

/**
 * The device as a filter shows it that turns every bit around and has a `write` of its own: a write
 * that went around the filter would come back turned.
 */
export function turned(device: BlockDevice): BlockDevice {
  const turn = (bytes: Uint8Array) => bytes.map(byte => byte ^ 0xff);
  return wrapDevice(device, {
    ...PASS,
    contexts: undefined,
    extents: undefined,
    zero: undefined,
    trim: undefined,
    read: async (offset, length, options) => {
      const data = await device.read(offset, length, options);
      return viewsOf(data).map(turn);
    },
    write: (offset, data, options) => device.write!(offset, turn(data), options),
  });
}
