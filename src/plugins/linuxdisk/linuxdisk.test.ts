import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin, pluginSource } from '../../../test/contract/open.ts';
import { findCNbdkit, servedByC } from '../../../test/peer/c-nbdkit.ts';
import { contiguous } from '../../block/data.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { findProgram } from '../../posix/program.ts';

const missing = ['mke2fs', 'e2fsck', 'debugfs', 'sgdisk'].find(name => !findProgram(name));
const programs = missing ? `needs ${missing}` : false;
const root = fs.mkdtempSync(join(tmpdir(), 'nbdpipe-linuxdisk-'));
const temporary = join(root, 'tmp');
process.env.TMPDIR = temporary;
after(() => fs.rmSync(root, { recursive: true }));
fs.mkdirSync(temporary);

const MiB = 1 << 20;
const BACKUP = 33 * 512;

const tree = join(root, 'tree');
fs.mkdirSync(join(tree, 'sub'), { recursive: true });
fs.writeFileSync(join(tree, 'file'), 'content', { mode: 0o640 });
fs.linkSync(join(tree, 'file'), join(tree, 'sub/hard'));
fs.symlinkSync('../file', join(tree, 'sub/soft'));

interface Disk {
  readonly bytes: Buffer;
  /** The file system alone, in a file. */
  readonly path: string;
}

async function diskOf(...words: string[]): Promise<Disk> {
  const device = await openPlugin('linuxdisk', ...words);
  assert.deepEqual([device.write, device.multiConn], [undefined, true]);
  assert.deepEqual(fs.readdirSync(temporary), []);
  const bytes = contiguous(await device.read(0n, Number(device.size))) as Buffer;
  const path = join(root, 'filesystem');
  fs.writeFileSync(path, bytes.subarray(MiB, -BACKUP));
  run('e2fsck', '-fn', path);
  const disk = join(root, 'disk');
  fs.writeFileSync(disk, bytes);
  assert.match(run('sgdisk', '-v', disk), /No problems found/);
  return { bytes, path };
}

function run(program: string, ...words: string[]): string {
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  return execFileSync(findProgram(program)!, words, { encoding: 'utf8', stdio: [...stdio] });
}

function debugfs(path: string, request: string): string {
  return run('debugfs', '-R', request, path);
}

test('a directory becomes a partition with its files', { skip: programs }, async () => {
  const { bytes, path } = await diskOf(tree, 'label=ROOTFS');
  assert.equal(debugfs(path, 'cat /sub/hard'), 'content');
  assert.match(debugfs(path, 'stat /file'), /Mode: {2}0640[\s\S]*Links: 2/);
  assert.match(debugfs(path, 'stat /sub/soft'), /Fast link dest: "..\/file"/);
  assert.equal(bytes.toString('latin1', MiB + 1144, MiB + 1151), 'ROOTFS\0');
  assert.match(
    run('sgdisk', '-i', '1', join(root, 'disk')),
    /0FC63DAF-8483-4772-8E79-3D69D8477DE4/,
  );
});

test('the same size and files as the C plugin', { skip: programs }, async t => {
  const nbdkit = findCNbdkit();
  if (!nbdkit) return t.skip('needs C nbdkit and nbdcopy');
  const theirs = servedByC(nbdkit, 'linuxdisk', tree, 'size=3M', 'type=ext4');
  assert.ok(theirs, 'C serves it');
  const { bytes, path } = await diskOf(tree, 'size=3M', 'type=ext4');
  assert.equal(bytes.length, theirs.length);
  const names = ['/', '/sub'].map(folder => listing(path, folder));
  fs.writeFileSync(path, theirs.subarray(MiB, -BACKUP));
  assert.deepEqual(
    names,
    ['/', '/sub'].map(folder => listing(path, folder)),
  );
});

/** Mode, owner, size and name of what is in a folder of a file system. */
function listing(path: string, folder: string): string[] {
  const lines = debugfs(path, `ls -p ${folder}`).trim().split('\n');
  return lines.map(line => line.split('/').slice(2).join('/')).sort();
}

for (const type of ['ext2', 'ext3', 'ext4']) {
  test(`${type} with free space`, { skip: programs }, async () => {
    const { bytes } = await diskOf(tree, `type=${type}`, 'size=+5M');
    const superblock = bytes.subarray(MiB + 1024);
    const features = [superblock.readUInt32LE(92) & 4, superblock.readUInt32LE(96) & 0x40];
    assert.deepEqual(features, { ext2: [0, 0], ext3: [4, 0], ext4: [4, 0x40] }[type]);
    const free = superblock.readUInt32LE(12) - superblock.readUInt32LE(8);
    assert.ok(free * 4096 >= 5 * MiB, `${free} blocks`);
    assert.ok(free * 4096 < 10 * MiB, `${free} blocks`);
  });
}

test('many small files, holes and nothing at all fit', { skip: programs }, async () => {
  const many = join(root, 'many');
  fs.mkdirSync(many);
  for (let index = 0; index < 1500; index++) fs.writeFileSync(join(many, `file ${index}`), 'x');
  const { path } = await diskOf(many);
  assert.equal(debugfs(path, 'cat "/file 1499"'), 'x');
  const sparse = join(root, 'sparse');
  fs.mkdirSync(sparse);
  fs.writeFileSync(join(sparse, 'hole'), 'data');
  fs.truncateSync(join(sparse, 'hole'), 2 ** 38);
  const disk = await diskOf(sparse, 'type=ext4');
  assert.ok(disk.bytes.length < 64 * MiB, `${disk.bytes.length}`);
  assert.match(debugfs(disk.path, 'stat /hole'), /Size: 274877906944/);
  const empty = join(root, 'empty');
  fs.mkdirSync(empty);
  await diskOf(empty);
});

test('what does not fit, and a mke2fs that fails', { skip: programs }, async () => {
  fs.mkdirSync(join(root, 'large'));
  fs.writeFileSync(join(root, 'large/file'), Buffer.alloc(2 * MiB, 1));
  await assert.rejects(
    () => openPlugin('linuxdisk', join(root, 'large'), 'size=1M'),
    error => error instanceof UsageError && /^size: .*does not fit/.test(error.message),
  );
  await assert.rejects(
    () => openPlugin('linuxdisk', tree, 'size=0'),
    error => error instanceof BlockError && /^mke2fs: failed with status 1: ./.test(error.message),
  );
  assert.deepEqual(fs.readdirSync(temporary), []);
});

test('bad parameters', async () => {
  const bad: [string[], RegExp][] = [
    [[], /^dir: must be given/],
    [[join(root, 'nowhere')], /^dir: .*no such file/],
    [[join(tree, 'file')], /^dir: .*expected a directory/],
    [[tree, 'type=vfat'], /^type: .*expected one of ext2, ext3, ext4/],
    [[tree, 'label=seventeen letters'], /^label: .*at most 16 bytes/],
    [[tree, 'size=+x'], /^size: cannot parse 'x'/],
    [[tree, 'size=-1'], /^size: cannot parse '-1'/],
  ];
  for (const [words, message] of bad) {
    await assert.rejects(
      () => pluginSource('linuxdisk', ...words),
      error => error instanceof UsageError && message.test(error.message),
      words.join(' '),
    );
  }
});
