import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../test/contract/contract.ts';
import { readBytes } from '../../test/contract/model.ts';
import { openPlugin } from '../../test/contract/open.ts';
import { constantDevice, paddingDevice } from './constant.ts';
import { joinDevices } from './join.ts';

deviceContract(
  'joined memory',
  async () =>
    joinDevices([
      await openPlugin('memory', '1000'),
      await openPlugin('memory', '0'),
      await openPlugin('memory', '1'),
      await openPlugin('memory', '100000', 'allocator=malloc'),
      await openPlugin('memory', '1M'),
    ]),
  { writes: 'kept' },
);

deviceContract(
  'joined constants',
  () => joinDevices([constantDevice(Buffer.alloc(5000, 'ab')), paddingDevice(1n << 62n)]),
  { writes: 'checked' },
);

test('it can be written when all of its parts can', async () => {
  const memory = await openPlugin('memory', '1000');
  const device = joinDevices([memory, await openPlugin('ones', '1000')]);
  assert.equal(device.write, undefined);
  assert.deepEqual(await readBytes(device, 999n, 2), Buffer.from([0, 0xff]));
});

test('closing it closes all, even when one fails', async () => {
  const closed: number[] = [];
  const part = (index: number) => ({
    ...paddingDevice(1n),
    close: () => {
      closed.push(index);
      if (index === 0) throw new Error('first');
    },
  });
  await assert.rejects(async () => await joinDevices([part(0), part(1)]).close!(), /first/);
  assert.deepEqual(closed, [0, 1]);
});
