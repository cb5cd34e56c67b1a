import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-extentlist-'));
after(() => rmSync(folder, { recursive: true }));

async function opened(list: string) {
  const file = join(folder, 'list');
  writeFileSync(file, list);
  return await openOver(await openPlugin('null', '1M'), `extentlist extentlist=${file}`);
}

const run = (length: number, hole: boolean, zero: boolean) => ({ length, hole, zero });

test('what the list says, and holes elsewhere', async () => {
  const device = await opened(
    '# data first\n32K 4k\n0 1k\n\n4k 4k hole\n8k 4k hole,zero\n12k 4k 2',
  );
  assert.deepEqual(await device.extents!(0n, 40 << 10), [
    run(1024, false, false),
    run(3072, true, true),
    run(4096, true, false),
    run(4096, true, true),
    run(4096, false, true),
    run(16 << 10, true, true),
    run(4096, false, false),
    run(4096, true, true),
  ]);
  assert.deepEqual(await device.extents!(5000n, 100), [run(100, true, false)]);
});

test('an empty list is a hole', async () => {
  const device = await opened('');
  assert.deepEqual(await device.extents!(0n, 1 << 20), [run(1 << 20, true, true)]);
});

test('what is no list', async () => {
  for (const [list, message] of [
    ['0 1k\n512 1k', /overlapping: 0-1023 and those from 512 on$/],
    ['0', /list:1: expected OFFSET LENGTH/],
    ['\n0 1x', /list:2: cannot parse '1x'/],
  ] as const) {
    await assert.rejects(opened(list), { name: 'UsageError', message });
  }
});
