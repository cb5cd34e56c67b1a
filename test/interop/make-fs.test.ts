/** nbdfiles make-fs, against the programs that check file systems. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../peer/wire.ts';
import { has, type RunOptions, run, runWell } from './programs.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/nbdfiles.cjs');
const MIB = 1 << 20;

const files = (words: readonly string[], options?: RunOptions) =>
  run(process.execPath, [PROGRAM, ...words], options);

function treeIn(t: TestContext): { folder: string; tree: string } {
  const folder = temporaryFolder(t);
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'a folder'), { recursive: true });
  writeFileSync(join(tree, 'a folder/file'), 'content\n', { mode: 0o640 });
  writeFileSync(join(tree, 'big'), Buffer.alloc(300_000, 'big '));
  return { folder, tree };
}

async function well(words: readonly string[], options?: RunOptions): Promise<string> {
  const { status, stdout, stderr } = await files(words, options);
  assert.deepEqual([status, stderr], [0, ''], words.join(' '));
  return stdout;
}

for (const [type, ...words] of [
  ['ext2'],
  ['ext4', '--format=qcow2', '--partition=gpt', '--size=32M', '--label=name'],
] as const) {
  test(`make-fs ${[type, ...words].join(' ')}`, async t => {
    if (!has(t, 'mke2fs', 'e2fsck')) return;
    const { folder, tree } = treeIn(t);
    symlinkSync('a folder/file', join(tree, 'link'));
    const disk = join(folder, 'disk');
    await well(['make-fs', '-t', type, ...words, tree, disk]);
    assert.equal(await well(['cat', '-a', disk, '/link']), 'content\n');
    const list = await well(['filesystems', '--long', '--csv', '-a', disk]);
    assert.match(list, type === 'ext2' ? /sda,filesystem,ext2,/ : /sda1,filesystem,ext4,name,/);
    if (type === 'ext2') await runWell('e2fsck', ['-fn', disk]);
    if (words.length === 0) return;
    const size = await well(['filesystems', '--block-devices', '--long', '--csv', '-a', disk]);
    assert.match(size, new RegExp(`,${32 * MIB},`));
  });
}

test('make-fs fat with an MBR and free space', async t => {
  if (!has(t, 'fsck.vfat', 'mcopy', 'sfdisk')) return;
  const { folder, tree } = treeIn(t);
  const disk = join(folder, 'disk');
  await well(['make-fs', '-t', 'vfat', '-s', '+40M', '--partition', '--label=FAT', tree, disk]);
  assert.match(await runWell('sfdisk', ['-d', disk]), /start= +2048, size= +\d+, type=c/);
  assert.equal(await runWell('mcopy', ['-i', `${disk}@@1M`, '::big', '-']), 'big '.repeat(75_000));
  const volume = join(folder, 'volume');
  writeFileSync(volume, readFileSync(disk).subarray(MIB));
  await runWell('fsck.vfat', ['-n', volume]);
  const [row] = (await well(['df', '--csv', '-a', disk])).split('\n').slice(1);
  assert.ok(Number(row!.split(',')[4]) >= 40 * 1024, row);
});

test('make-fs of archives, from a file and from standard input', async t => {
  if (!has(t, 'mke2fs', 'tar', 'gzip', 'zstd')) return;
  const { folder, tree } = treeIn(t);
  const disk = join(folder, 'disk');
  for (const option of ['--gzip', '--zstd']) {
    const archive = join(folder, `archive${option}`);
    await runWell('tar', ['-c', option, '--owner=1234', '-f', archive, '-C', tree, '.']);
    const piped = option === '--zstd';
    const input = piped ? { input: readFileSync(archive) } : {};
    await well(['make-fs', '-s', '4M', piped ? '-' : archive, disk], input);
    assert.equal(statSync(disk).size, 4 * MIB);
    const owner = process.getuid!() === 0 ? 1234 : process.getuid!();
    const list = await well(['ls', '-lR', '--uids', '-a', disk, '/a folder']);
    assert.match(list, new RegExp(`^- 0640 +8 +${owner} .*/a folder/file$`, 'm'));
  }
});

test('make-fs without mke2fs', async t => {
  const { folder, tree } = treeIn(t);
  if (!has(t, 'unshare')) return;
  // Nothing of the system's is where programs are looked for.
  const hidden = await run('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs none /usr/sbin']);
  if (hidden.status !== 0) return t.skip('needs user namespaces');
  const script = 'mount -t tmpfs none /usr/sbin && exec "$@"';
  const words = [process.execPath, PROGRAM, 'make-fs', tree, join(folder, 'disk')];
  const { status, stderr } = await run('unshare', ['-rm', 'sh', '-c', script, 'sh', ...words]);
  assert.deepEqual([status, stderr], [1, 'nbdfiles: mke2fs: not found: it must be installed\n']);
});
