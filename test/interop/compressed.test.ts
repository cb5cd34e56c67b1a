/** What the programs of the system compress and pack, read through the filters. */
import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { contiguous } from '../../src/block/data.ts';
import { Random } from '../../src/testing/model.ts';
import { filterSource, pluginSource, REQUEST } from '../contract/open.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell } from './programs.ts';

const SIZE = 3_000_001;

/** A file of text, random bytes and holes. */
function image(t: TestContext): { readonly folder: string; readonly content: Buffer } {
  const folder = temporaryFolder(t);
  const fd = openSync(join(folder, 'disk.img'), 'w');
  ftruncateSync(fd, SIZE);
  const text = Buffer.alloc(700_000, 'some words that come again and again, ');
  writeSync(fd, text, 0, text.length, 0);
  const bytes = new Random(1).bytes(200_000);
  writeSync(fd, bytes, 0, bytes.length, 1_500_000);
  closeSync(fd);
  return { folder, content: readFileSync(join(folder, 'disk.img')) };
}

/** Reads all of a file through filters, the last one nearest to the file. */
async function readAll(path: string, ...filters: readonly (readonly string[])[]): Promise<Buffer> {
  let source = await pluginSource('file', path);
  for (const [name, ...words] of filters.toReversed()) {
    source = await filterSource(source, name!, ...words);
  }
  const device = await source.open({ ...REQUEST, readOnly: true });
  try {
    const bytes = await device.read(0n, Number(device.size));
    return Buffer.from(contiguous(bytes));
  } finally {
    await device.close?.();
    await source.close?.();
  }
}

/** Commands that make `packed` of disk.img. */
const COMPRESSED: readonly (readonly [filter: string, program: string, command: string])[] = [
  ['xz', 'xz', 'xz -c disk.img'],
  ['xz', 'xz', 'xz -c -T2 --block-size=300KiB disk.img'],
  ['xz', 'xz', 'xz -c --check=sha256 --block-size=1MiB disk.img'],
  ['xz', 'xz', 'xz -c --check=none disk.img'],
  ['xz', 'xz', 'xz -c --check=crc32 --x86 --delta=dist=4 --lzma2 disk.img'],
  ['xz', 'xz', '(head -c 1000000 disk.img | xz -9; tail -c +1000001 disk.img | xz -0)'],
  ['gzip', 'gzip', 'gzip -c disk.img'],
  ['gzip', 'gzip', '(head -c 1000000 disk.img | gzip -1; tail -c +1000001 disk.img | gzip -9)'],
  ['indexed-gzip gzip-index-span=64K', 'gzip', 'gzip -c disk.img'],
  ['bzip2', 'bzip2', 'bzip2 -c disk.img'],
  ['lzip', 'lzip', 'lzip -c disk.img'],
  ['lzip', 'lzip', '(head -c 1000000 disk.img | lzip; tail -c +1000001 disk.img | lzip -9)'],
  ['zstd', 'zstd', 'zstd -q -c disk.img'],
  ['zstd', 'zstd', 'zstd -q -19 --long=25 --no-check -c disk.img'],
  ['zstd', 'zstd', '(head -c 1000000 disk.img | zstd; tail -c +1000001 disk.img | zstd -9)'],
  ['zstd', 'pzstd', 'pzstd -q -p 2 -c disk.img'],
];

describe('compressed files', () => {
  for (const [filter, program, command] of COMPRESSED) {
    test(`${filter}: ${command}`, async t => {
      if (!has(t, program)) return;
      const { folder, content } = image(t);
      await runWell('sh', ['-c', `${command} > packed`], { cwd: folder });
      assert.ok(content.equals(await readAll(join(folder, 'packed'), filter.split(' '))));
    });
  }
});

const TAR = 'tar -c -f packed';
const ARCHIVES: readonly (readonly [filter: string, program: string, command: string])[] = [
  ...['v7', 'ustar', 'oldgnu', 'gnu', 'posix'].map(
    format => ['tar', 'tar', `${TAR} --format=${format} other disk.img`] as const,
  ),
  ...['oldgnu', 'gnu'].map(
    format => ['tar', 'tar', `${TAR} -S --format=${format} other disk.img`] as const,
  ),
  ...['0.0', '0.1', '1.0'].map(
    version =>
      [
        'tar',
        'tar',
        `${TAR} -S --format=posix --sparse-version=${version} other disk.img`,
      ] as const,
  ),
  ['zip', 'zip', 'zip -q packed other disk.img; mv packed.zip packed'],
  ['zip', 'zip', 'zip -q -0 packed other disk.img; mv packed.zip packed'],
  ['zip', 'zip', 'zip -q -Z bzip2 packed other disk.img; mv packed.zip packed'],
  ['zip', 'zip', 'cat disk.img | zip -q -fz packed other -; mv packed.zip packed'],
];

describe('archives', () => {
  for (const [filter, program, command] of ARCHIVES) {
    test(`${filter}: ${command}`, async t => {
      if (!has(t, program)) return;
      const { folder, content } = image(t);
      writeFileSync(join(folder, 'other'), 'words');
      await runWell('sh', ['-c', command], { cwd: folder });
      const entry = command.startsWith('cat') ? '-' : 'disk.img';
      const words = [filter, `${filter}-entry=${entry}`];
      assert.ok(content.equals(await readAll(join(folder, 'packed'), words)));
    });
  }
});

test('what was written into an archive is there for tar', async t => {
  if (!has(t, 'tar')) return;
  const { folder } = image(t);
  await runWell('tar', ['-cf', 'disks.tar', 'disk.img'], { cwd: folder });
  const file = await pluginSource('file', join(folder, 'disks.tar'));
  const source = await filterSource(file, 'tar', 'tar-entry=disk.img');
  const device = await source.open(REQUEST);
  await device.write!(1_000_000n, Buffer.from('written in place'));
  await device.flush!();
  await device.close!();
  const content = await runWell('tar', ['-xOf', 'disks.tar', 'disk.img'], { cwd: folder });
  assert.equal(content.slice(1_000_000, 1_000_016), 'written in place');
});

test('stacks, as the commands serve them', async t => {
  if (!has(t, 'tar', 'xz', 'gzip')) return;
  const { folder, content } = image(t);
  const { env } = ourCommands(t);
  await runWell('sh', ['-c', 'tar -cS disk.img | xz --block-size=64KiB > disks.tar.xz'], {
    cwd: folder,
  });
  await runWell('sh', ['-c', 'tar -c disk.img | gzip > disks.tar.gz'], { cwd: folder });
  for (const [filter, file] of [
    ['xz', 'disks.tar.xz'],
    ['gzip', 'disks.tar.gz'],
  ]) {
    const words = ['--filter=tar', `--filter=${filter}`, 'file', file!, 'tar-entry=disk.img'];
    const copy = ['--run', 'nbdinfo --size "$uri" && nbdcopy "$uri" copy.img'];
    const { stdout, stderr, status } = await run('nbdkit', [...words, ...copy], {
      env,
      cwd: folder,
    });
    assert.deepEqual([status, stdout, stderr], [0, `${SIZE}\n`, '']);
    assert.ok(content.equals(readFileSync(join(folder, 'copy.img'))), file);
  }
});
