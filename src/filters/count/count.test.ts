import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REQUEST, watchedSource } from '../../../test/contract/open.ts';

test('bytes of all clients, without those of requests that failed', async () => {
  const { source, notes } = await watchedSource('full 1M', 'count');
  const clients = [await source.open(REQUEST), await source.open(REQUEST)];
  for (const client of clients) await client.read(0n, 1000);
  await assert.rejects(async () => await clients[0]!.write!(0n, Buffer.of(1)));
  await source.close!();
  assert.deepEqual(notes, ['count bytes: read 2000, written 0, zeroed 0, trimmed 0']);
});

test('each kind by itself', async () => {
  const { source, notes } = await watchedSource('memory 1M', 'count');
  const device = await source.open(REQUEST);
  await device.write!(0n, Buffer.alloc(1));
  await device.zero!(0n, 20);
  await device.trim!(0n, 300);
  await device.flush!();
  await source.close!();
  assert.deepEqual(notes, ['count bytes: read 0, written 1, zeroed 20, trimmed 300']);
});
