import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-readonly-'));
after(() => rmSync(folder, { recursive: true }));

test('without a file there is no writing at all', async () => {
  const source = await filterSource(await pluginSource('memory', '1M'), 'readonly');
  const device = await source.open(REQUEST);
  assert.equal(device.write, undefined);
  assert.equal(device.size, 1n << 20n);
});

test('the file switches writing off and on again', async () => {
  const file = join(folder, 'switch');
  const below = await pluginSource('memory', '1M');
  const source = await filterSource(below, 'readonly', `readonly-file=${file}`);
  const device = await source.open(REQUEST);
  assert.equal(device.writeBuffer, undefined, 'no write goes around the check');
  const attempts = [
    () => device.write!(0n, Buffer.from('x')),
    () => device.trim!(0n, 1),
    () => device.zero!(0n, 1),
  ];
  for (const attempt of attempts) await attempt();
  writeFileSync(file, '');
  for (const attempt of attempts) {
    await assert.rejects(async () => await attempt(), { name: 'BlockError', errno: 'EPERM' });
  }
  await device.flush!();
  rmSync(file);
  for (const attempt of attempts) await attempt();
});
