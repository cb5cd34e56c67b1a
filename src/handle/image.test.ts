import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeImageFile } from '../../test/peer/images.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { open } from './open.ts';

test('the disk in an image file, with what its backing file has', async t => {
  const folder = temporaryFolder(t);
  const [base, top] = [join(folder, 'base.vdi'), join(folder, 'top.qcow2')];
  await makeImageFile(base, 'vdi', 1n << 20n);
  await makeImageFile(top, 'qcow2', 1n << 20n, 'backing_file=base.vdi,backing_fmt=vdi');
  {
    await using disk = await open(base, { format: 'auto' });
    await disk.write(0, Buffer.from('below'));
  }
  await using disk = await open(top, { format: 'qcow2' });
  await disk.write(512, Buffer.from('above'));
  assert.equal((await disk.read(0, 5)).toString(), 'below');
  assert.equal((await disk.read(512, 5)).toString(), 'above');
});

test('a file that is no image of the format is refused in words', async t => {
  const path = join(temporaryFolder(t), 'disk');
  await makeImageFile(path, 'raw', 1n << 20n);
  await assert.rejects(open(path, { format: 'qcow2' }), /not in qcow2 format/);
  await assert.rejects(open(path, { format: 'nonsense' }), /Unknown driver 'nonsense'/);
});
