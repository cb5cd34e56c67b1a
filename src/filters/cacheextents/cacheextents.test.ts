import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import { kindsOf, recorded } from '../../../test/peer/recorder.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

async function opened(names: readonly string[]) {
  const { device, calls } = recorded(await openPlugin('memory', '1M'));
  const source = await filterSource({ open: () => wrapDevice(device, PASS) }, 'cacheextents');
  const clients: BlockDevice[] = [];
  for (const exportName of names) clients.push(await source.open({ ...REQUEST, exportName }));
  const asked = () => kindsOf(calls.splice(0));
  return { clients, asked };
}

test('the last answer is kept, for all clients of an export', async () => {
  const { clients, asked } = await opened(['', '', 'other']);
  await clients[0]!.write!(500_000n, Buffer.alloc(4096, 1));
  asked();
  const all = await clients[0]!.extents!(0n, 1 << 20, { one: true });
  assert.equal(all.length, 3, 'it is asked for all');
  const part = await clients[1]!.extents!(400_000n, 1000);
  assert.deepEqual(part, [{ length: 1000, hole: true, zero: true }]);
  assert.deepEqual(asked(), ['extents']);
  await clients[2]!.extents!(0n, 1000);
  assert.deepEqual(asked(), ['extents']);
});

test('changes make it forget, also while it is being asked', async () => {
  const { clients, asked } = await opened(['', 'same']);
  const [one, other] = clients as [BlockDevice, BlockDevice];
  for (const change of [
    () => other.write!(0n, Buffer.of(1)),
    () => other.zero!(0n, 1),
    () => other.trim!(0n, 1),
  ]) {
    await one.extents!(0n, 1 << 20);
    await change();
    asked();
    await one.extents!(0n, 1 << 20);
    assert.deepEqual(asked(), ['extents']);
  }
});

test('what is not in the answer is asked for', async () => {
  const { clients, asked } = await opened(['']);
  await clients[0]!.extents!(4096n, 4096);
  await clients[0]!.extents!(0n, 4096);
  await clients[0]!.extents!(8192n, 4096);
  assert.deepEqual(asked(), ['extents', 'extents', 'extents']);
});
