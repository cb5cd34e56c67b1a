import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../test/contract/contract.ts';
import { pluginSource, REQUEST } from '../../test/contract/open.ts';
import type { BlockDevice } from './device.ts';
import { poolDevice } from './pool.ts';

deviceContract(
  'memory by three connections',
  async () => {
    const source = await pluginSource('memory', '1000001');
    return poolDevice([
      await source.open(REQUEST),
      await source.open(REQUEST),
      await source.open(REQUEST),
    ]);
  },
  { writes: 'kept' },
);

test('connections are used in turn, and all closed although one fails', async () => {
  const told: string[] = [];
  const connection = (name: string): BlockDevice => ({
    size: 512n,
    read: (_, length) => {
      told.push(`read ${name}`);
      return Buffer.alloc(length);
    },
    close: () => {
      told.push(`close ${name}`);
      if (name === 'a') throw new Error('no');
    },
  });
  const pool = poolDevice([connection('a'), connection('b')]);
  // A look at the size is no turn.
  for (let count = 0; count < 3 && pool.size > 0n; count++) await pool.read(0n, 1);
  await assert.rejects(async () => await pool.close!(), /no/);
  assert.deepEqual(told, ['read b', 'read a', 'read b', 'close a', 'close b']);
});
