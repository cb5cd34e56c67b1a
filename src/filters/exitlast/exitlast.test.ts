import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REQUEST, watchedSource } from '../../../test/contract/open.ts';

test('the last client that leaves ends the server', async () => {
  const { source, notes } = await watchedSource('memory 1M', 'exitlast');
  const clients = [await source.open(REQUEST), await source.open(REQUEST)];
  await clients[0]!.close!();
  assert.deepEqual(notes, []);
  await clients[1]!.close!();
  assert.deepEqual(notes, ['exitlast: exiting on last client connection', 'shutdown']);
});

test('a client that asks for what is not there does not', async () => {
  const { source, notes } = await watchedSource(`file dir=${import.meta.dirname}`, 'exitlast');
  await assert.rejects(async () => await source.open({ ...REQUEST, exportName: 'none' }));
  assert.deepEqual(notes, []);
});
