import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { kindsOf, recorded } from '../../../test/peer/recorder.ts';
import { supportOf } from '../../block/support.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

const BYTE = Buffer.of(1);

/** A filter over memory, which is durable by itself or by flushes, and what that is asked for. */
async function opened(mode: string, fua: 'native' | 'emulated' = 'native') {
  const memory = wrapDevice(await openPlugin('memory', '1M'), { ...PASS, fua });
  const { device: below, calls } = recorded(memory);
  return { device: await openOver(below, `fua fuamode=${mode}`), calls };
}

test('what is said of durable writes', async () => {
  const said = async (mode: string) => supportOf((await opened(mode)).device).fua;
  const modes = ['none', 'emulate', 'native', 'force', 'pass', 'discard'];
  assert.deepEqual(await Promise.all(modes.map(said)), [
    'none',
    'emulated',
    'native',
    'native',
    'native',
    'native',
  ]);
});

test('every write is durable, by the means of the disk', async () => {
  for (const [fua, expected] of [
    ['native', ['write fua', 'zero fua', 'trim fua']],
    ['emulated', ['write', 'flush', 'zero', 'flush', 'trim', 'flush']],
  ] as const) {
    const { device, calls } = await opened('force', fua);
    await device.write!(0n, BYTE);
    await device.zero!(0n, 1);
    await device.trim!(0n, 1, { fua: true });
    await device.flush!();
    assert.deepEqual(kindsOf(calls), expected);
  }
});

test('durable writes are passed on, or made of a flush', async () => {
  const native = await opened('native');
  await native.device.write!(0n, BYTE, { fua: true });
  await native.device.write!(0n, BYTE);
  assert.deepEqual(kindsOf(native.calls), ['write fua', 'write']);
  const emulated = await opened('native', 'emulated');
  await emulated.device.write!(0n, BYTE, { fua: true });
  await emulated.device.write!(0n, BYTE);
  assert.deepEqual(kindsOf(emulated.calls), ['write', 'flush', 'write']);
});

test('discard forgets them, and flushes', async () => {
  const { device, calls } = await opened('discard');
  await device.write!(0n, BYTE, { fua: true });
  await device.flush!();
  assert.deepEqual(kindsOf(calls), ['write']);
});

test('a disk that cannot be flushed', async () => {
  const { flush: _flush, ...rest } = await openPlugin('memory', '1M');
  const without = { ...rest, fua: undefined };
  for (const mode of ['emulate', 'native', 'force']) {
    await assert.rejects(openOver(without, `fua fuamode=${mode}`), { message: /requires plugin/ });
  }
  assert.equal(await openOver(without, 'fua', { readOnly: true }), without);
});

test('a client that leaves has its writes flushed', async () => {
  const { device: below, calls } = recorded(await openPlugin('memory', '1M'));
  const device = await openOver(below, 'fua fuamode=pass flush-on-close=true');
  await device.write!(0n, BYTE);
  await device.close!();
  assert.deepEqual(kindsOf(calls), ['write', 'flush']);
});
