import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { flaky } from '../../../test/peer/flaky.ts';

const QUICK = 'retry-request-delay=1ms';

deviceContract(
  'retry-request',
  async () =>
    (await filterSource(await pluginSource('memory', '1M'), 'retry-request')).open(REQUEST),
  { writes: 'kept', steps: 60 },
);

test('a request is made again, twice unless told, over the same disk', async () => {
  const disk = flaky(await openPlugin('memory', '1M'));
  const device = await (await filterSource(disk.source, 'retry-request', QUICK)).open(REQUEST);
  disk.failures = 2;
  await device.write!(0n, Buffer.from('x'));
  disk.failures = 3;
  await assert.rejects(async () => await device.read(0n, 1), /read failed on purpose/);
  assert.equal(disk.opened.length, 1);
  assert.equal(disk.failures, 0);
});

test('so is opening, unless that is not wanted', async () => {
  const disk = flaky(await openPlugin('memory', '1M'));
  disk.openFailures = 2;
  await (await filterSource(disk.source, 'retry-request', QUICK)).open(REQUEST);
  assert.equal(disk.opened.length, 3);
  disk.openFailures = 1;
  const source = await filterSource(
    disk.source,
    'retry-request',
    QUICK,
    'retry-request-open=false',
  );
  await assert.rejects(async () => await source.open(REQUEST), /open failed on purpose/);
});
