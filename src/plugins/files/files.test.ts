import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';
import { lazyFile, readTree } from '../../content/fat/files.ts';
import { fat32Device } from '../../formats/fat32/fat32.ts';
import { readBytes } from '../../testing/model.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-files-'));
after(() => rmSync(folder, { recursive: true }));
const SECTORS = 4096;
const image = join(folder, 'disk.img');

const tree = join(folder, 'tree');
mkdirSync(join(tree, 'etc'), { recursive: true });
mkdirSync(join(tree, 'disks'));
writeFileSync(join(tree, 'etc/hostname'), 'box\n');
writeFileSync(join(tree, 'disks/ümlaut'), Buffer.alloc(100_001, 'disk '));
writeFileSync(join(tree, 'empty'), '');

const wishes = { label: 'L', hiddenSectors: 0, serial: 1, open: lazyFile };
const volume = fat32Device(readTree(tree, tree), { ...wishes, sectors: SECTORS });
writeFileSync(image, contiguous(await volume.read(0n, SECTORS * 512)));

deviceContract('files', () => openPlugin('files', image, 'path=/disks/ümlaut'), { writes: 'none' });

const list = { readOnly: true, tls: false, peer: REQUEST.peer };

test('each file is an export', async () => {
  const source = await pluginSource('files', image);
  const names = (await source.list!(list))!.map(({ name }) => name);
  assert.deepEqual(names, ['/disks/ümlaut', '/empty', '/etc/hostname']);
  const open = async (exportName: string) => source.open({ ...REQUEST, exportName });
  const device = await open('/etc/hostname');
  assert.equal((await readBytes(device, 0n, 4)).toString(), 'box\n');
  assert.equal((await open('/empty')).size, 0n);
  assert.equal((await open('etc/../etc/hostname')).size, 4n);
  await assert.rejects(open(''), { errno: 'ENOENT', message: /expected a path/ });
  await assert.rejects(open('/none'), { errno: 'ENOENT' });
  await assert.rejects(open('/etc'), { errno: 'ENOENT', message: /no regular file/ });
  await source.close?.();
});

test('one file only', async () => {
  const source = await pluginSource('files', image, 'path=/etc/hostname', 'mount=/dev/sda');
  assert.deepEqual(await source.list!(list), [{ name: '/etc/hostname' }]);
  assert.equal(await source.defaultExport!(list), '/etc/hostname');
  const open = async (exportName: string) => source.open({ ...REQUEST, exportName });
  assert.equal((await open('')).size, 4n);
  assert.equal((await open('/etc/hostname')).size, 4n);
  await assert.rejects(open('/empty'), { errno: 'ENOENT' });
  await source.close?.();
});

test('bad parameters, and images without a file system', async () => {
  const nothing = join(folder, 'nothing');
  writeFileSync(nothing, Buffer.alloc(4096));
  symlinkSync('nowhere', join(folder, 'link'));
  for (const [words, message] of [
    [[], /^image: must be given/],
    [[join(folder, 'link')], /link: .*no such file/],
    [[nothing], /there is no file system that can be read/],
    [[image, 'path=/none'], /^\/none: no such file or directory/],
    [[image, 'mount=/dev/sdb'], /^mount: \/dev\/sdb: no such file system: there is \/dev\/sda/],
    [[image, 'format=qcow2'], /disk\.img: /],
    [[image, 'format=tar'], /^format: /],
  ] as const) {
    await assert.rejects(pluginSource('files', ...words), { message }, words.join(' '));
  }
});
