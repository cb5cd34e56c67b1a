import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin } from '../../test/contract/open.ts';
import { kindsOf, recorded } from '../../test/peer/recorder.ts';
import { around, before, CHANGES } from './around.ts';

test('kinds that are not asked for pass, and lent memory with writes', async () => {
  const memory = await openPlugin('memory', '1M');
  const seen: string[] = [];
  const device = around(
    memory,
    ({ kind, offset, length }, act) => {
      seen.push(`${kind} ${offset} ${length}`);
      return act();
    },
    ['read', 'extents'],
  );
  await device.read(512n, 100);
  await device.extents!(0n, 4096);
  await device.write!(0n, Buffer.from('x'));
  assert.ok(device.writeBuffer?.(0n, 4096));
  assert.deepEqual(seen, ['read 512 100', 'extents 0 4096']);
  assert.equal(around(memory, (_call, act) => act(), CHANGES).writeBuffer, undefined);
});

test('a check may wait or refuse', async () => {
  const { device: below, calls } = recorded(await openPlugin('memory', '1M'));
  const device = before(
    below,
    async ({ data }) => {
      await null;
      if (data?.[0] === 1) throw new Error('refused');
    },
    CHANGES,
  );
  await assert.rejects(async () => await device.write!(0n, Buffer.of(1)), /refused/);
  await device.write!(0n, Buffer.of(2), { fua: true });
  await device.zero!(0n, 1);
  await device.read(0n, 1);
  assert.deepEqual(kindsOf(calls), ['write fua', 'zero', 'read']);
});

test('what the device lacks is not there', () => {
  const device = around({ size: 1n, read: () => Buffer.alloc(1) }, (_call, act) => act());
  assert.deepEqual(
    [device.write, device.zero, device.flush, device.extents],
    Array(4).fill(undefined),
  );
});
