import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as later } from 'node:timers/promises';
import {
  filterSource,
  openOver,
  openPlugin,
  REQUEST,
  watchedSource,
} from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import type { Call } from '../../block/around.ts';
import { sleep } from '../../block/sleep.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

/** Opens clients of a disk of 10 MiB, and notes where it is told to get ready. */
async function scanned(words: readonly string[], delay = 0) {
  const memory = await openPlugin('memory', '10485000');
  const slow = wrapDevice(memory, {
    ...PASS,
    cache: (_at, _length, options) => sleep(delay, options?.signal),
  });
  const { device, calls } = recorded(slow);
  const source = await filterSource({ open: () => wrapDevice(device, PASS) }, 'scan', ...words);
  const places = () =>
    calls.filter(({ kind }: Call) => kind === 'cache').map(({ offset }) => Number(offset >> 20n));
  return { source, calls, places };
}

const until = async (holds: () => boolean) => {
  for (let round = 0; !holds() && round < 500; round++) await later(5);
};

test('all of the disk, once', async () => {
  const { source, calls, places } = await scanned([]);
  const device = await source.open(REQUEST);
  await until(() => places().length === 5);
  await later(10);
  assert.deepEqual(places(), [0, 2, 4, 6, 8]);
  assert.equal(calls.at(-1)!.length, 10485000 - (8 << 20));
  await device.close!();
});

test('what the client has read is skipped', async () => {
  const { source, places } = await scanned([], 20);
  const device = await source.open(REQUEST);
  await device.read(0n, 5 << 20);
  await until(() => places().length === 4);
  assert.deepEqual(places(), [0, 5, 7, 9]);
  await device.close!();
});

test('the next client goes on where it was left, or begins again', async () => {
  for (const [words, place] of [
    [[], 4],
    [['scan-clock=false'], 0],
  ] as const) {
    const { source, calls, places } = await scanned([...words], 60_000);
    const first = await source.open(REQUEST);
    await first.close!();
    assert.deepEqual(places(), [0], 'closing gives it up');
    await (await source.open({ ...REQUEST, exportName: 'other' })).close!();
    assert.deepEqual(places(), [0, 0], 'each export has its own');
    calls.length = 0;
    const skipping = await source.open(REQUEST);
    await skipping.read(0n, 4 << 20);
    await skipping.close!();
    const next = await source.open(REQUEST);
    await next.close!();
    assert.ok(places().at(-1) === 0 || place === 4, `${places()}`);
  }
});

test('for ever, until the client leaves', async () => {
  const { source, places } = await scanned(['scan-forever=true', 'scan-size=8M']);
  const device = await source.open(REQUEST);
  await until(() => places().length > 10);
  assert.deepEqual(places().slice(0, 4), [0, 8, 0, 8]);
  await device.close!();
});

test('sizes that it cannot have, and disks that keep nothing', async () => {
  for (const size of ['511', '64M', '3M']) {
    await assert.rejects(watchedSource('memory 1M', `scan scan-size=${size}`), {
      name: 'UsageError',
      message: 'scan-size parameter should be [512..32M] and a power of two',
    });
  }
  const none = await openOver(await openPlugin('memory', '1M'), 'nocache');
  const { source, notes } = await watchedSource({ open: () => none }, 'scan');
  await source.open(REQUEST);
  assert.match(notes[0]!, /^scan: warning: .* not scanning; try adding --filter=cache/);
});
