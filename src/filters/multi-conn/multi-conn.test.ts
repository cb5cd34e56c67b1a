import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, openOver, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import { kindsOf, recorded } from '../../../test/peer/recorder.ts';
import type { Call } from '../../block/around.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

/** Connections to a disk that does not say that they may share it, and what each of them does. */
async function connections(count: number, words: string, names: readonly string[] = []) {
  const below: Call[][] = [];
  const open = async () => {
    const memory = wrapDevice(await openPlugin('memory', '1M'), { ...PASS, multiConn: false });
    const { device, calls } = recorded(memory);
    below.push(calls);
    return device;
  };
  const source = await filterSource({ open }, 'multi-conn', ...words.split(' '));
  const devices: BlockDevice[] = [];
  for (let index = 0; index < count; index++) {
    devices.push(await source.open({ ...REQUEST, exportName: names[index] ?? '' }));
  }
  return { devices, kinds: () => below.map(kindsOf) };
}

test('what is said', async () => {
  const memory = await openPlugin('memory', '1M');
  const said = async (words: string) => (await openOver(memory, `multi-conn ${words}`)).multiConn;
  assert.equal(await said('multi-conn-mode=auto'), true);
  assert.equal(await said('multi-conn-mode=disable'), false);
  const { devices } = await connections(1, 'multi-conn-mode=auto');
  assert.equal(devices[0]!.multiConn, true);
  const { devices: plugin } = await connections(1, 'multi-conn-mode=plugin');
  assert.equal(plugin[0]!.multiConn, false);
});

test('a flush is one of those that need it', async () => {
  const { devices, kinds } = await connections(3, 'multi-conn-mode=auto');
  await devices[0]!.write!(0n, Buffer.of(1));
  await devices[1]!.read(0n, 1);
  await devices[2]!.flush!();
  await devices[2]!.flush!();
  assert.deepEqual(kinds(), [['write', 'flush'], ['read', 'flush'], []]);
});

test('fast: of all if any has written; off: of all', async () => {
  const fast = await connections(2, 'multi-conn-track-dirty=fast');
  await fast.devices[1]!.flush!();
  await fast.devices[0]!.zero!(0n, 1);
  await fast.devices[1]!.flush!();
  assert.deepEqual(fast.kinds(), [['zero', 'flush'], ['flush']]);
  const off = await connections(2, 'multi-conn-track-dirty=off');
  await off.devices[1]!.flush!();
  assert.deepEqual(off.kinds(), [['flush'], ['flush']]);
});

test('connections to other exports are left alone', async () => {
  const words = 'multi-conn-track-dirty=off multi-conn-exportname=true';
  const { devices, kinds } = await connections(3, words, ['a', 'b', 'a']);
  await devices[0]!.flush!();
  assert.deepEqual(kinds(), [['flush'], [], ['flush']]);
});

test('what a client has written is durable for the others when it has left', async () => {
  const { devices, kinds } = await connections(2, 'multi-conn-mode=emulate');
  await devices[0]!.write!(0n, Buffer.of(1));
  await devices[0]!.close!();
  await devices[1]!.flush!();
  assert.deepEqual(kinds(), [['write', 'flush'], []]);
});

test('what is written during a flush is not settled by it', async () => {
  let let1: (() => void) | undefined;
  const memory = await openPlugin('memory', '1M');
  let flushes = 0;
  const slow = wrapDevice(memory, {
    ...PASS,
    flush: () => {
      flushes += 1;
      return new Promise<void>(resolve => {
        let1 = resolve;
      });
    },
  });
  const device = await openOver(slow, 'multi-conn multi-conn-mode=emulate');
  await device.write!(0n, Buffer.of(1));
  const flushed = device.flush!();
  await device.write!(0n, Buffer.of(2));
  let1!();
  await flushed;
  const again = device.flush!();
  let1!();
  await again;
  assert.equal(flushes, 2);
});

test('a disk that cannot be flushed', async () => {
  const { flush: _flush, ...without } = await openPlugin('memory', '1M');
  await assert.rejects(openOver(without, 'multi-conn multi-conn-mode=emulate'), {
    message: 'emulating multi-conn requires working flush',
  });
});
