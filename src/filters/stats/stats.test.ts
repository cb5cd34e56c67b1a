import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { report } from './report.ts';
import { Tally } from './tally.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-stats-'));
after(() => rmSync(folder, { recursive: true }));

test('requests by kind, size and alignment', () => {
  const tally = new Tally();
  for (let index = 0; index < 90; index++) tally.add('read', BigInt(index) * 4096n, 4096, 0.5);
  for (let index = 0; index < 10; index++) tally.add('read', 512n, 1000, 1);
  tally.add('write', 1n << 40n, 3 << 20, 1000);
  tally.add('flush', 0n, 0, 2);
  tally.add('cache', 0n, 100, 2);
  const text = report(tally, { seconds: 2, threshold: 0.9 });
  assert.deepEqual(text.split('\n'), [
    'total: 102 ops, 2.000000 s, 3.36 MiB, 1.68 MiB/s',
    'read: 100 ops, 0.055000 s, 369.77 KiB, 6.57 MiB/s op, 184.88 KiB/s total',
    '  Request size and alignment breakdown:',
    '    12 bits: 90.0% (90 reqs, 360.00 KiB total)',
    '         12 bit aligned: 100.0% (90)',
    '         13 bit aligned:  50.0% (45)',
    '         14 bit aligned:  25.6% (23)',
    '         15 bit aligned:  13.3% (12)',
    '         16+ bit-aligned:  6.7% (6)',
    '    other sizes: 10.0% (10 reqs, 9.77 KiB total)',
    '',
    'write: 1 ops, 1.000000 s, 3.00 MiB, 3.00 MiB/s op, 1.50 MiB/s total',
    '  Request size and alignment breakdown:',
    '    21 bits: 100.0% (1 reqs, 3.00 MiB total)',
    '         40 bit aligned: 100.0% (1)',
    '',
    'cache: 1 ops, 0.002000 s, 100 bytes, 48.83 KiB/s op, 50 bytes/s total',
    '  Request size and alignment breakdown:',
    '     6 bits: 100.0% (1 reqs, 100 bytes total)',
    '',
    'flush: 1 ops, 0.002000 s, 0 bytes, 0 bytes/s op, 0 bytes/s total',
    '',
  ]);
  assert.match(report(tally, { seconds: 2, threshold: 0 }), /^total.*\nread.*\nwrite/);
});

test('the file is written at the end, and kept if so asked', async () => {
  const file = join(folder, 'stats');
  for (const words of [[], ['statsappend=true']]) {
    const below = await pluginSource('memory', '1M');
    const source = await filterSource(below, 'stats', `statsfile=${file}`, ...words);
    const device = await source.open(REQUEST);
    await device.read(0n, 512);
    await source.close!();
  }
  const lines = readFileSync(file, 'utf8').split('\n');
  assert.equal(lines.filter(line => /^total: 1 ops, /.test(line)).length, 2);
});

test('a file that cannot be written', async () => {
  const below = await pluginSource('memory', '1M');
  await assert.rejects(filterSource(below, 'stats', 'statsfile=/none/at/all'), {
    name: 'UsageError',
    message: /^statsfile: ENOENT/,
  });
});
