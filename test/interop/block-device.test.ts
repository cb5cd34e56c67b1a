/** Images made on block devices, which keep their size and what was on them. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell } from './programs.ts';

const MIB = 1 << 20;

/** A loop device over a file of other bytes; undefined where there is none to be had. */
async function loopDevice(t: TestContext, bytes: number) {
  if (!has(t, 'losetup', 'qemu-img')) return undefined;
  if (process.getuid!() !== 0) return t.skip('needs root');
  const folder = temporaryFolder(t);
  const file = join(folder, 'device');
  writeFileSync(file, Buffer.alloc(bytes, 0xa5));
  const device = (await runWell('losetup', ['-f', '--show', file])).trim();
  t.after(() => runWell('losetup', ['-d', device]));
  return { device, file, folder };
}

test('a disk is converted onto a block device, which keeps its size, with its zeroes', async t => {
  const loop = await loopDevice(t, 8 * MIB);
  if (!loop) return;
  const { env } = ourCommands(t);
  const disk = Buffer.alloc(4 * MIB);
  disk.fill('data', MIB, 2 * MIB);
  const source = join(loop.folder, 'source');
  writeFileSync(source, disk);
  await runWell('nbdimg', ['convert', '-O', 'raw', source, loop.device], { env });
  const device = readFileSync(loop.device);
  assert.equal(device.length, 8 * MIB);
  assert.ok(device.subarray(0, 4 * MIB).equals(disk));
  assert.ok(device.subarray(4 * MIB).every(byte => byte === 0xa5));
  await runWell('nbdimg', ['convert', '-O', 'qcow2', source, loop.device], { env });
  await runWell('qemu-img', ['compare', '-F', 'qcow2', source, loop.device]);
});

test('one that is too small is refused, in the words of qemu-img', async t => {
  const loop = await loopDevice(t, MIB);
  if (!loop) return;
  const { env } = ourCommands(t);
  const words = ['create', '-q', '-f', 'raw', loop.device, '2M'];
  const [ours, theirs] = await Promise.all([run('nbdimg', words, { env }), run('qemu-img', words)]);
  const beginning = theirs.stderr.trim().replace('qemu-img:', 'nbdimg:');
  assert.ok(ours.stderr.startsWith(beginning), ours.stderr);
  assert.deepEqual([ours.status, theirs.status], [1, 1]);
});
