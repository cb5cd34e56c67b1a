import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';

const limited = async (limit: string) =>
  await filterSource(await pluginSource('memory', '1M'), 'limit', `limit=${limit}`);

const REFUSED = {
  name: 'BlockError',
  message: 'limit: too many clients connected, connection rejected',
};

test('one client too many is turned away, until another has left', async () => {
  const source = await limited('2');
  const clients = [await source.open(REQUEST), await source.open(REQUEST)];
  await assert.rejects(async () => await source.preconnect!(REQUEST.peer), REFUSED);
  await assert.rejects(async () => await source.open(REQUEST), REFUSED);
  await clients[0]!.close!();
  await source.preconnect!(REQUEST.peer);
  await source.open(REQUEST);
});

test('0 is no limit', async () => {
  const source = await limited('0');
  for (let client = 0; client < 5; client++) await source.open(REQUEST);
});
