/** nbdimg beside qemu-img: the same command lines, the same output, status and images. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Random } from '../../src/testing/model.ts';
import { makeImageFile, openImageFile } from '../peer/images.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, type Outcome, ourCommands, run, runWell } from './programs.ts';

const MIB = 1 << 20;

/** Both programs, each in a folder of its own with the same files. */
class Both {
  readonly folders: readonly [theirs: string, ours: string];
  readonly #env: { PATH: string };

  constructor(t: TestContext) {
    const root = temporaryFolder(t);
    this.folders = [join(root, 'theirs'), join(root, 'ours')];
    this.#env = ourCommands(t).env;
    const content = Buffer.alloc(8 * MIB);
    new Random(3).bytes(4096).copy(content);
    content.fill('some text ', 2 * MIB, 5 * MIB);
    for (const folder of this.folders) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'raw'), content);
    }
  }

  /** Runs a line by both, and compares what they say, but for their names and what is given. */
  async same(line: string, ...but: readonly RegExp[]): Promise<Outcome> {
    const outcomes = await Promise.all(
      this.folders.map((cwd, index) =>
        run(index === 0 ? 'qemu-img' : 'nbdimg', line.split(' '), { cwd, env: this.#env }),
      ),
    );
    const [theirs, ours] = outcomes.map(({ status, stdout, stderr }) => {
      const text = [stdout, stderr].map(each => clean(each, but));
      return { line, status, text };
    });
    assert.deepEqual(ours, theirs);
    return outcomes[1]!;
  }

  /** Runs a line by one program of qemu in both folders. */
  async each(program: string, ...args: readonly string[]): Promise<void> {
    for (const cwd of this.folders) await runWell(program, args, { cwd });
  }

  /** Whether qemu finds our image good, and the same disk in it as in its own. */
  async agrees(image: string): Promise<void> {
    const [theirs, ours] = this.folders.map(folder => join(folder, image));
    await runWell('qemu-img', ['check', ours!]);
    await runWell('qemu-img', ['compare', theirs!, ours!]);
  }
}

const ALWAYS = [/disk size: .*/g, /"actual-size": \d+/g, /nbdimg|qemu-img/g];

const clean = (text: string, but: readonly RegExp[]) =>
  [...ALWAYS, ...but].reduce((rest, pattern) => rest.replace(pattern, ''), text).trimEnd();

test('nbdimg: create, info, check, measure and resize, in the words of qemu-img', async t => {
  if (!has(t, 'qemu-img')) return;
  const both = new Both(t);
  await both.same('create -f qcow2 a.qcow2 64M');
  await both.same('create -f qcow2 -o compat=0.10,cluster_size=4k old.qcow2 1G');
  await both.same('create -f qcow2 -b a.qcow2 -F qcow2 top.qcow2');
  await both.same('create -f qcow2 -o extended_l2=on,refcount_bits=8,lazy_refcounts=on e.qcow2 1M');
  for (const image of ['a.qcow2', 'old.qcow2', 'top.qcow2', 'e.qcow2', 'raw']) {
    await both.same(`info ${image}`);
    await both.same(`info --output=json ${image}`);
    await both.same(`check ${image}`);
  }
  await both.same('info --backing-chain top.qcow2');
  await both.same('measure -O qcow2 raw');
  await both.same('measure -O qcow2 -o cluster_size=512 --output=json --size 10G');
  await both.same('resize a.qcow2 +10M');
  await both.same('resize a.qcow2 1M');
  await both.same('resize --shrink a.qcow2 10M');
  await both.same('info a.qcow2');
  await both.agrees('a.qcow2');
});

test('nbdimg: what cannot be done, in the words of qemu-img', async t => {
  if (!has(t, 'qemu-img')) return;
  const both = new Both(t);
  for (const line of [
    'info missing',
    'info',
    'nonsense',
    'create -f qcow2 x',
    'create -f qcow2 x 1X',
    'create -f nonsense x 1M',
    'create -f qcow2 -o nonsense=1 x 1M',
    'create -f qcow2 -b raw x',
    'convert -O qcow2 missing x',
    'convert raw',
    'check raw',
  ]) {
    await both.same(line);
  }
});

test('nbdimg: convert, compare, map and dd', async t => {
  if (!has(t, 'qemu-img', 'qemu-io')) return;
  const both = new Both(t);
  for (const options of ['', '-c', '-c -o compression_type=zstd', '-o cluster_size=2M']) {
    await both.same(`convert ${options} -O qcow2 raw a.qcow2`.replace('  ', ' '));
    await both.agrees('a.qcow2');
    await both.same('compare raw a.qcow2');
  }
  await both.same('convert -O qcow2 raw a.qcow2');
  await both.same('map --output=json a.qcow2', /"offset": \d+/g);
  await both.same('map --output=json raw');
  await both.same('map raw');
  await both.same('create -f qcow2 -o extended_l2=on parts.qcow2 8M');
  await both.each('qemu-io', '-c', 'write 2M 4k', '-c', 'write -z 4M 100k', 'parts.qcow2');
  await both.same('map --output=json parts.qcow2');
  await both.same('dd bs=1M count=3 skip=1 if=raw of=part');
  await both.same('compare raw part');
  await both.same('compare -s raw part');
  await both.same('convert -O raw a.qcow2 back');
  await both.same('compare raw back');
});

test('nbdimg: snapshots, bitmaps and backing files', async t => {
  if (!has(t, 'qemu-img', 'qemu-io')) return;
  const both = new Both(t);
  const date = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g;
  await both.same('convert -O qcow2 raw base.qcow2');
  await both.same('create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 10M');
  await both.each('qemu-io', '-c', 'write -P 5 1M 320k', 'top.qcow2');
  await both.same('snapshot -c first top.qcow2');
  await both.each('qemu-io', '-c', 'write -P 6 1M 128k', '-c', 'discard 3M 1M', 'top.qcow2');
  await both.same('snapshot -l top.qcow2', date);
  await both.agrees('top.qcow2');
  await both.same('map --output=json top.qcow2', /"offset": \d+/g);
  await both.same('snapshot -a first top.qcow2');
  await both.agrees('top.qcow2');
  await both.same('snapshot -d first top.qcow2');
  await both.agrees('top.qcow2');
  await both.same('bitmap --add -g 32k top.qcow2 changes');
  await both.each('qemu-io', '-c', 'write -P 7 5M 1M', 'top.qcow2');
  await both.same('bitmap --add top.qcow2 other --merge changes');
  await both.same('bitmap --disable --clear top.qcow2 changes');
  await both.same('info top.qcow2');
  await both.same('bitmap --remove top.qcow2 other');
  await both.agrees('top.qcow2');
  await both.same('rebase -f qcow2 -b  top.qcow2');
  await both.agrees('top.qcow2');
  await both.same('rebase -u -b base.qcow2 -F qcow2 top.qcow2');
  await both.same('commit top.qcow2');
  await both.agrees('base.qcow2');
  await both.same('amend -o compat=0.10 base.qcow2');
  await both.same('amend -o compat=1.1,lazy_refcounts=on base.qcow2');
  await both.same('amend -o refcount_bits=64 base.qcow2');
  await both.same('info base.qcow2');
  await both.agrees('base.qcow2');
});

test('nbdimg: an image that a program of qemu has open, and the other way round', async t => {
  if (!has(t, 'qemu-img', 'qemu-io')) return;
  const both = new Both(t);
  await both.same('create -f qcow2 a.qcow2 64M');
  await both.same('create -f qcow2 -b a.qcow2 -F qcow2 top.qcow2');
  for (const cwd of both.folders) {
    const { stdin, stdout } = spawn('qemu-io', ['a.qcow2'], { cwd });
    t.after(() => stdin.end());
    stdin.write('read 0 512\n');
    await once(stdout, 'data');
  }
  for (const line of [
    'info a.qcow2',
    'info -U a.qcow2',
    'check a.qcow2',
    'map -U --output=json a.qcow2',
    'resize a.qcow2 +1M',
    'create -f qcow2 a.qcow2 1M',
    'convert -f raw -O qcow2 raw a.qcow2',
    'info top.qcow2',
  ]) {
    await both.same(line);
  }
  const path = join(both.folders[1], 'b.qcow2');
  await makeImageFile(path, 'qcow2', 1n << 20n);
  const { device } = await openImageFile(path);
  for (const [words, what] of [
    [['info', path], /Failed to get shared "write" lock/],
    [['resize', path, '2M'], /Failed to get "write" lock/],
    [['create', '-f', 'qcow2', path, '1M'], /Failed to get "write" lock/],
  ] as const) {
    const { status, stderr } = await run('qemu-img', words);
    assert.equal(status, 1);
    assert.match(stderr, what);
  }
  await device.close!();
  await runWell('qemu-img', ['resize', path, '2M']);
});

test('nbdimg: what is on a disk, and a picture of its map', async t => {
  const { env } = ourCommands(t);
  const cwd = temporaryFolder(t);
  const disk = Buffer.alloc(4 * MIB);
  disk.writeUInt16LE(0xaa55, 510);
  disk[446 + 4] = 0x82;
  disk.writeUInt32LE(2048, 446 + 8);
  disk.writeUInt32LE(4096, 446 + 12);
  disk.writeUInt32LE(1, MIB + 1024);
  disk.write('SWAPSPACE2', MIB + 4086);
  writeFileSync(join(cwd, 'raw'), disk);
  const ours = (line: string) => runWell('nbdimg', line.split(' '), { cwd, env });
  await ours('convert -O qcow2 raw a.qcow2');
  const stdout = await ours('info --contents a.qcow2');
  assert.match(stdout, /\/dev\/sda: 4 MiB, MBR\n +\/dev\/sda1: 2 MiB at 1048576, swap/);
  const told = JSON.parse(await ours('info --contents --output=json a.qcow2'));
  assert.deepEqual(told.contents[1].type, 'swap');
  assert.match(await ours('map --picture a.qcow2'), /^base:allocation\n0000000000 /);
});
