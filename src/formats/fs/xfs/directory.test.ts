import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesIn } from './directory.ts';
import type { Superblock } from './superblock.ts';

test('a block that ends with less free space than an entry has', () => {
  const block = Buffer.alloc(48);
  block.write('XD2D', 'latin1');
  block.writeBigUInt64BE(131n, 16);
  block.writeUInt8(4, 24);
  block.write('name', 25);
  block.writeUInt16BE(0xffff, 32);
  block.writeUInt16BE(8, 34);
  block.copy(block, 40, 32, 40);
  const superblock = { checksums: false, fileTypes: true } as Superblock;
  assert.deepEqual(namesIn(block, 'directory', superblock), [{ name: 'name', inode: 131n }]);
});
