import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

async function opened(mode: string) {
  const disk = new StrictDevice(Buffer.alloc(4096));
  const open = () => wrapDevice(disk, PASS);
  const source = await filterSource({ open }, 'noparallel', `serialize=${mode}`);
  return { disk, source };
}

for (const [mode, most] of [
  ['requests', 2],
  ['all-requests', 1],
] as const) {
  test(`serialize=${mode}: two clients have ${most} requests under way`, async () => {
    const { disk, source } = await opened(mode);
    const clients = [await source.open(REQUEST), await source.open(REQUEST)];
    await Promise.all(clients.flatMap(one => [0n, 1n, 2n, 3n].map(at => one.read(at, 1))));
    assert.equal(disk.most, most);
  });
}

test('serialize=connections: the second client waits, until the first or itself leaves', async () => {
  const { source } = await opened('connections');
  const first = await source.open(REQUEST);
  assert.equal(first.multiConn, false);
  const order: string[] = [];
  const second = Promise.resolve(source.open(REQUEST)).then(device => {
    order.push('opened');
    return device;
  });
  const gone = new AbortController();
  const third = source.open({ ...REQUEST, signal: gone.signal });
  gone.abort(new Error('gone'));
  await assert.rejects(async () => await third, /gone/);
  order.push('closing');
  await first.close!();
  await (await second).close!();
  assert.deepEqual(order, ['closing', 'opened']);
});
