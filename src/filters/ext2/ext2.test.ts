import assert from 'node:assert/strict';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { filterSource, openOver, REQUEST } from '../../../test/contract/open.ts';
import { has, runWell } from '../../../test/interop/programs.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { asSource } from '../../block/source.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { openFile } from '../../stores/file/open.ts';
import { readBytes } from '../../testing/model.ts';

/** A file system with /disks/disk.raw, which is a hole of 3 MiB and four bytes. */
async function fileSystem(t: TestContext) {
  if (!has(t, 'mke2fs')) return undefined;
  const folder = temporaryFolder(t);
  const [tree, image] = [join(folder, 'tree'), join(folder, 'image')];
  mkdirSync(join(tree, 'disks'), { recursive: true });
  writeFileSync(join(tree, 'disks/disk.raw'), '');
  truncateSync(join(tree, 'disks/disk.raw'), 3 << 20);
  writeFileSync(join(tree, 'disks/disk.raw'), 'disk', { flag: 'a' });
  await runWell('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', tree, image, '4M']);
  return fileDevice(openFile(image, true));
}

test('a file with its holes', async t => {
  const disk = await fileSystem(t);
  if (!disk) return;
  const device = await openOver(disk, 'ext2 ext2file=/disks/disk.raw');
  assert.equal(device.size, BigInt((3 << 20) + 4));
  assert.equal(device.write, undefined);
  assert.equal((await readBytes(device, 3n << 20n, 4)).toString(), 'disk');
  const [hole] = await device.extents!(0n, 3 << 20);
  assert.deepEqual(hole, { length: 3 << 20, hole: true, zero: true });
});

test('clients name the file', async t => {
  const disk = await fileSystem(t);
  if (!disk) return;
  const source = await filterSource(asSource(disk), 'ext2', 'ext2file=exportname');
  const open = (exportName: string) => source.open({ ...REQUEST, exportName });
  assert.equal((await open('/disks/disk.raw')).size, BigInt((3 << 20) + 4));
  await assert.rejects(async () => open('/none'), { errno: 'ENOENT' });
  await assert.rejects(async () => open('/disks'), { errno: 'EINVAL' });
});

test('a path that begins elsewhere', async t => {
  const disk = await fileSystem(t);
  if (!disk) return;
  await assert.rejects(openOver(disk, 'ext2 ext2file=disk.raw'), /expected a path from \/ on/);
});
