import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KINDS, makeImage } from '../../../../test/files/images.ts';
import { has } from '../../../../test/interop/programs.ts';
import { temporaryFolder } from '../../../../test/peer/wire.ts';
import { fileDevice } from '../../../stores/file/device.ts';
import { openFile } from '../../../stores/file/open.ts';
import { Tree } from '../tree.ts';
import { ntfs } from './ntfs.ts';

test('directories are as long as the blocks of their names, as with ntfs-3g', async t => {
  const kind = KINDS.ntfs!;
  if (!has(t, ...kind.programs)) return;
  const made = await makeImage(temporaryFolder(t), kind);
  if (!made) return t.skip('nothing can be mounted here');
  const device = fileDevice(openFile(made.image, true));
  t.after(() => device.close?.());
  const tree = new Tree([{ path: '/', fileSystem: await ntfs.open(device) }]);
  const { size, blocks } = (await tree.find('/many')).node.stat;
  assert.ok(size > 0n && size % 4096n === 0n, `${size} bytes`);
  assert.equal(blocks, size / 512n);
  assert.equal((await tree.find('/empty')).node.stat.size, 0n);
});
