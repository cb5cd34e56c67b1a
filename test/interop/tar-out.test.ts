/** A tree as a system has it, out of a disk by tar-out: GNU tar finds no difference. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { makeTree } from '../files/sources.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, run, runWell } from './programs.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/nbdfiles.cjs');
const isRoot = process.getuid?.() === 0;

/** What systems have and file systems are seldom tried with. */
async function makeSystem(tree: string): Promise<void> {
  makeTree(tree, { posix: true, oddNames: true });
  for (const folder of ['usr/bin', 'usr/share/doc/package', 'var/lib/dpkg/info', 'dev', 'root']) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  for (let index = 0; index < 400; index++) {
    const path = join(tree, `var/lib/dpkg/info/package-${index}.list`);
    writeFileSync(path, `/usr/share/doc/package-${index}\n`.repeat(index % 7));
  }
  writeFileSync(join(tree, 'usr/bin/perl'), Buffer.alloc(70_000, 'perl'), { mode: 0o755 });
  linkSync(join(tree, 'usr/bin/perl'), join(tree, 'usr/bin/perl5'));
  linkSync(join(tree, 'usr/bin/perl'), join(tree, 'usr/share/doc/package/again'));
  writeFileSync(join(tree, 'usr/bin/su'), 'su');
  chmodSync(join(tree, 'usr/bin/su'), 0o4755);
  symlinkSync('usr/bin', join(tree, 'bin'));
  const deep = Array.from({ length: 5 }, (_, index) => `${index}`.repeat(70)).join('/');
  mkdirSync(join(tree, deep), { recursive: true });
  writeFileSync(join(tree, deep, 'n'.repeat(250)), 'deep');
  symlinkSync(`/${deep}/${'n'.repeat(250)}`, join(tree, 'longer-link'));
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/byte-`), Buffer.of(0xe9)]), 'latin1');
  writeFileSync(join(tree, 'line\nend'), 'odd');
  await runWell('mkfifo', [join(tree, 'dev/pipe')]);
  if (isRoot) {
    await runWell('mknod', [join(tree, 'dev/null'), 'c', '1', '3']);
    await runWell('mknod', [join(tree, 'dev/large'), 'b', '259', '1000']);
    chownSync(join(tree, 'usr/bin/su'), 3_000_000, 70_000);
    // Changing its owner takes that away.
    chmodSync(join(tree, 'usr/bin/su'), 0o4755);
  }
  // mke2fs keeps whole seconds, and tar compares all that there is where a header is extended.
  await runWell('find', [tree, '-exec', 'touch', '-h', '-d', '@1500000000', '{}', '+']);
}

test('tar-out of a system', async t => {
  if (!has(t, 'mke2fs', 'tar', 'mkfifo', 'mknod', 'find')) return;
  const folder = temporaryFolder(t);
  const [tree, image, archive] = ['tree', 'image', 'archive'].map(name => join(folder, name));
  mkdirSync(tree!);
  await makeSystem(tree!);
  await runWell('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', tree!, image!, '16M']);
  const words = ['tar-out', '-m', '/dev/sda', '-a', image!, '/', archive!];
  const { status, stderr } = await run(process.execPath, [PROGRAM, ...words]);
  assert.deepEqual([status, stderr], [0, '']);
  const compared = ['--compare', '--numeric-owner', '--exclude=./lost+found', '-f', archive!];
  assert.equal(await runWell('tar', [...compared, '-C', tree!]), '');
  const listed = async (words: readonly string[]) => {
    const names = (await runWell('tar', words)).split('\n').map(name => name.replace(/\/$/, ''));
    return names.filter(name => name !== './lost+found').sort();
  };
  const all = await listed(['-C', tree!, '-cf', '/dev/null', '-v', '.']);
  assert.deepEqual(await listed(['-tf', archive!]), all);
});
