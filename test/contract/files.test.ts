/** The contract for plugins that make their disks with programs of the system, or join files. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sliceDevice } from '../../src/block/slice.ts';
import { PASS, wrapDevice } from '../../src/block/wrap.ts';
import { findProgram } from '../../src/posix/program.ts';
import { deviceContract } from './contract.ts';
import { openPlugin } from './open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-contract-files-'));
process.env.TMPDIR = folder;
after(() => rmSync(folder, { recursive: true }));

const command = 'command=truncate -s $size "$disk"';

deviceContract('tmpdisk', () => openPlugin('tmpdisk', '3000001', command), {
  writes: 'kept',
  steps: 60,
});

deviceContract('ondemand', () => openPlugin('ondemand', `dir=${folder}`, '3000001', command), {
  writes: 'kept',
  steps: 60,
});

if (['xorriso', 'genisoimage', 'mkisofs'].some(findProgram)) {
  deviceContract('iso', () => openPlugin('iso', import.meta.dirname), { writes: 'none' });
} else {
  test('iso', t => t.skip('needs xorriso, genisoimage or mkisofs'));
}

if (findProgram('mke2fs')) {
  deviceContract('linuxdisk', () => openPlugin('linuxdisk', import.meta.dirname), {
    writes: 'none',
  });
} else {
  test('linuxdisk', t => t.skip('needs mke2fs'));
}

for (const mode of ['address', 'exportname', 'version']) {
  deviceContract(`info ${mode}`, () => openPlugin('info', mode), { writes: 'none' });
}

/** A file with a hole from `data` on. */
function part(name: string, size: number, data: number): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(data, name));
  truncateSync(path, size);
  return path;
}

const parts = [
  part('a', 3, 3),
  part('b', 99_997, 5000),
  part('c', 0, 0),
  part('d', 70_001, 70_001),
];
deviceContract('split', () => openPlugin('split', ...parts), { writes: 'kept', steps: 60 });

const partitioned = () => openPlugin('partitioning', part('p', 300_032, 300_032));
deviceContract(
  'partitioning: a partition',
  async () => sliceDevice(await partitioned(), 1n << 20n, 300_032n),
  { writes: 'kept', steps: 60 },
);
deviceContract(
  'partitioning: the whole disk',
  async () => {
    const absent = { write: undefined, trim: undefined, zero: undefined };
    return wrapDevice(await partitioned(), { ...PASS, ...absent });
  },
  { writes: 'none' },
);
